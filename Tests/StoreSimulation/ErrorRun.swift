internal import ReliabilityFileStore
internal import ReliabilityStore

/// A random workload during which one thing goes wrong, once or from then on.
///
/// Everything follows from the seed and the fault. Every answer is compared with the model's, and
///
/// - after an error of any kind, a store that is open has failed for good: who waits is told `unknownOutcome` or
///   `failed`, and every later call `failed`;
/// - but not after one in writing a new log, before that takes the old one's place: nobody notices;
/// - a disk that is full never ends a store: a write is refused with `diskFull` and changes nothing, reads go on, and
///   writes succeed again when there is space;
/// - a short read or write is not noticed;
/// - an opening that failed has opened nothing, and succeeds when it is tried again;
/// - what an attempt without success wrote is removed;
/// - a second owner is refused, and the first does not notice;
/// - whatever was told is there afterwards, with power and without.
struct ErrorRun {
    private let environment: CrashEnvironment
    private let mix: OperationMix
    private let length: Int
    private let fault: SimulatedFileSystem.Fault?
    private var random: SplitMix

    private var fileSystem: SimulatedFileSystem
    private var store: SimulatedStore
    private var witness: CrashWitness
    /// How many calls the processes before made.
    private var earlierCalls = 0
    private var hadFailedBefore = false
    private var isOver = false
    private var isHealed = false

    /// The calls that could fail, in a run without a fault.
    private(set) var calls: [SimulatedFileSystem.Call.Kind] = []
    private(set) var failures = 0
    private(set) var refusedOpenings = 0
    private(set) var refusedWrites = 0
    private(set) var crashes = 0

    init(_ seed: UInt64, _ fault: SimulatedFileSystem.Fault?) throws(Violation) {
        var random = SplitMix(seed)
        func one<Element>(_ elements: [Element]) -> Element {
            elements[Int.random(in: 0..<elements.count, using: &random)]
        }
        mix = OperationMix(
            keys: one([2, 6]),
            queues: one([1, 2]),
            ids: one([2, 5]),
            longestValue: one([12, 600, 1500]),
            nonsense: 2
        )
        let probes: [StoreOperation] =
            [.scan(prefix: StoreKey(OperationMix.keyspace), after: nil, limit: 1000)]
            + mix.queues.flatMap { queue -> [StoreOperation] in
                [.page(queue, .pending, after: nil, limit: 1000), .page(queue, .dead, after: nil, limit: 1000)]
            }
        environment = CrashEnvironment(
            tuning: LogTuning(
                growth: one([512, 1024, 4096]),
                batchLimit: one([1, 700, 1 << 20]),
                compactionMinimum: one([512, 2048, 8192])
            ),
            probes: probes
        )
        length = Int.random(in: 20...40, using: &random)
        self.random = random
        self.fault = fault
        let fileSystem = SimulatedFileSystem(seed: seed)
        fileSystem.recordsCalls = fault == nil
        fileSystem.fault = fault
        self.fileSystem = fileSystem
        var new = CrashWitness(environment.newModel, openedAt: .min)
        new.mayBeNew = true
        let opening = try Self.open(environment, fileSystem, new, CrashExplorer.beginning)
        (store, witness, refusedOpenings) = (opening.store, opening.witness, opening.refusals)
        hadFailedBefore = fileSystem.hasHarmedLog
    }

    private var isError: Bool {
        switch fault?.kind {
        case .error, .lateError, .noSpaceError: true
        case .noSpace, .short, nil: false
        }
    }

    private var isFullDisk: Bool {
        if case .noSpace = fault?.kind { !isHealed && fileSystem.hasFailed } else { false }
    }

    // MARK: Opening and closing

    /// Opens the store; where that is refused, again, and in the end without anything that goes wrong.
    private static func open(
        _ environment: CrashEnvironment,
        _ fileSystem: SimulatedFileSystem,
        _ crash: CrashWitness,
        _ unixTime: Int64
    ) throws(Violation) -> (store: SimulatedStore, witness: CrashWitness, refusals: Int) {
        var known = crash
        var refusals = 0
        while true {
            let store: SimulatedStore
            do throws(StoreError) {
                store = try environment.open(fileSystem, unixTime)
            } catch {
                guard let fault = fileSystem.fault, fileSystem.hasFailed else {
                    throw Violation("the store cannot be opened: \(error)")
                }
                let reasons: [StoreError.Reason] =
                    switch fault.kind {
                    case .noSpace: [.diskFull]
                    case .noSpaceError: [.diskFull, .unavailable]
                    case .error, .lateError, .short: [.unavailable]
                    }
                if !reasons.contains(error.reason) { throw Violation("opening the store threw \(error)") }
                if fileSystem.openCount > 0 { throw Violation("files are open after \(error)") }
                if let misuse = fileSystem.misuse { throw Violation(misuse) }
                if case .noSpace = fault.kind { try checkLeftovers(fileSystem) }
                if refusals == 0 {
                    // It may have been opened, but for the last step.
                    for var model in crash.possible {
                        model.reopen(nextVersion: model.nextVersion, now: max(crash.clockFloor, unixTime))
                        known = known.whileOpened(as: model, unixTime: unixTime)
                    }
                }
                if !fault.isForEver || refusals > 0 { fileSystem.fault = nil }
                refusals += 1
                continue
            }
            return (store, try environment.check(store, known, unixTime: unixTime), refusals)
        }
    }

    /// Nothing is left that takes space and is of no use.
    private static func checkLeftovers(_ fileSystem: SimulatedFileSystem) throws(Violation) {
        let names = fileSystem.disk.names.map(\.name)
        if !Set(names).isSubset(of: ["LOCK", "log"]) { throw Violation("the store has the files \(names)") }
    }

    /// Tries to open the store that is open.
    private mutating func openTwice() throws(Violation) {
        let count = fileSystem.openCount
        var reason: StoreError.Reason?
        do throws(StoreError) {
            let second = try environment.open(fileSystem, store.now)
            second.close()
        } catch {
            reason = error.reason
        }
        if !isOver, fileSystem.hasHarmedLog { hadFailedBefore = true }
        guard reason == .locked || reason == .unavailable && fileSystem.hasFailed else {
            throw Violation("a second owner was told \(reason as Any)")
        }
        if fileSystem.openCount != count { throw Violation("files are open after a second owner was refused") }
    }

    private mutating func close() throws(Violation) {
        witness.mayBeClosed = true
        witness.mayHaveReached(store.now)
        store.close()
        if store.end?.reason == .closed {
            try checkWhetherItShouldHaveFailed()
            try witness.told(by: store)
            witness.isClosed = true
        } else {
            try look()
        }
        if fileSystem.openCount > 0 { throw Violation("files are open after the store was closed") }
        if let misuse = fileSystem.misuse { throw Violation(misuse) }
    }

    /// Closes the store, and opens it in another process.
    private mutating func reopen() throws(Violation) {
        try close()
        let (opening, next) = (store.now, fileSystem.restarted())
        endProcess()
        next.recordsCalls = fault == nil
        if var rest = fault, !isHealed, rest.isForEver || rest.call > earlierCalls {
            rest.call = max(1, rest.call - earlierCalls)
            next.fault = rest
        }
        fileSystem = next
        let opened = try Self.open(environment, next, witness, opening)
        (store, witness) = (opened.store, opened.witness)
        refusedOpenings += opened.refusals
        if opened.refusals > 0, fault?.isForEver == true { isHealed = true }
        hadFailedBefore = next.hasHarmedLog
        isOver = false
    }

    private mutating func endProcess() {
        calls += fileSystem.calls.map(\.kind).filter { $0 != .close }
        earlierCalls += fileSystem.callCount
    }

    // MARK: Working

    mutating func work() throws(Violation) {
        for _ in 0..<length {
            if Int.random(in: 0..<3, using: &random) == 0 {
                store.advance(
                    by: [1, 300_000, 1_000_000, 10_000_000, 1_000_000_000].randomElement(using: &random) ?? 0
                )
            }
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<6:
                try submit(mix.next(witness.model, using: &random))
                try settle()
            case 6..<13: try submit(mix.next(witness.model, using: &random))
            case 13, 14: store.beginStep()
            case 15, 16:
                store.finishStep()
                try look()
            case 17: try openTwice()
            case 18: try settle()
            default: try reopen()
            }
        }
        try settle()
        if isFullDisk {
            // There is space again, and nobody has to open the store for that.
            fileSystem.fault = nil
            isHealed = true
        }
        let value = [UInt8](repeating: 1, count: 3000)
        for _ in 0..<3 {
            try submit(.commit([.put(mix.keys[0], value, .never, if: .any)], []))
            try settle()
        }
        endProcess()
    }

    private mutating func submit(_ operation: StoreOperation) throws(Violation) {
        let wasOver = isOver
        witness.mayHaveReached(store.now)
        let now = store.now
        let ticket = store.submit(operation)
        try look()
        if wasOver, ticket.answer != .refused(.failed) {
            throw Violation("\(operation) was answered with \(ticket.answer) by a store that failed")
        }
        switch ticket.answer {
        case .refused(.failed) where isOver: return
        case .refused(.diskFull):
            guard isFullDisk else { throw Violation("\(operation) was refused, though there is space") }
            try witness.refusedForSpace(operation, now: now)
            refusedWrites += 1
            // It changed nothing, and reads go on.
            try submit(environment.probes[0])
            try submit(environment.probes[1])
        default:
            try witness.submitted(operation, ticket, now: now)
            if !isOver { try look() }
        }
    }

    private mutating func settle() throws(Violation) {
        repeat {
            store.finishStep()
            try look()
        } while store.beginStep()
        if witness.hasWaiting { throw Violation("an answer waits for ever") }
        if !isError { try Self.checkLeftovers(fileSystem) }
    }

    /// Takes note of what happened, and of who is told what now.
    private mutating func look() throws(Violation) {
        if store.isStuck { throw Violation("the store neither answers nor does anything") }
        if let misuse = fileSystem.misuse { throw Violation(misuse) }
        guard let end = store.end else {
            try checkWhetherItShouldHaveFailed()
            return try witness.told(by: store)
        }
        if isOver { return }
        guard isError, fileSystem.hasHarmedLog, end.reason == .failed else {
            throw Violation("the store failed: \(end)")
        }
        isOver = true
        failures += 1
        try witness.failed(store)
    }

    private func checkWhetherItShouldHaveFailed() throws(Violation) {
        if isError, !isOver, fileSystem.hasHarmedLog, !hadFailedBefore {
            throw Violation("the store goes on after an error")
        }
    }

    // MARK: Crashing

    /// Ends the process, and the power, in several ways, and looks at what is there.
    mutating func crash() throws(Violation) {
        let disk = fileSystem.disk
        try crash(disk, .kill)
        try crash(disk, .nothing)
        try crash(disk, .everything)
        // Where a sector was written in two parts, one of them may be there alone, and looks like damage.
        if fault == nil || isError { try crash(disk, .random(random.next())) }
        try close()
        try crash(fileSystem.disk, .kill)
        try crash(fileSystem.disk, .nothing)
        try loseLog(fileSystem.disk.crashed(.nothing))
    }

    private mutating func crash(_ disk: SimulatedDisk, _ choice: CrashChoice) throws(Violation) {
        // The wall clock is right, or was set back.
        let unixTime = store.now - ([0, 0, 5_000_000, 3_600_000_000_000].randomElement(using: &random) ?? 0)
        do throws(Violation) {
            let run = try reopened(disk.crashed(choice), witness, unixTime)
            guard case .kill = choice else { return }
            // What was only in the system's memory is on the disk, now that somebody saw it.
            _ = try reopened(run.disk.crashed(.nothing), run.witness, unixTime)
        } catch {
            throw Violation("\(choice), and \(error)")
        }
    }

    private mutating func reopened(
        _ disk: SimulatedDisk,
        _ witness: CrashWitness,
        _ unixTime: Int64
    ) throws(Violation) -> CrashRun {
        crashes += 1
        let next = fileSystem.restarted(with: disk)
        return try CrashRun(environment, next, witness, unixTime: unixTime, keepsPoints: false)
    }

    /// A store that had a log and has none is damaged, not new.
    private func loseLog(_ disk: SimulatedDisk) throws(Violation) {
        var disk = disk
        guard let log = disk.file("log") else { throw Violation("there is no log") }
        disk.unlink("log", log)
        let next = fileSystem.restarted(with: disk)
        do throws(StoreError) {
            _ = try environment.open(next, store.now)
        } catch {
            if case .corruption = error.reason { return }
            throw Violation("a store whose log is gone cannot be opened: \(error)")
        }
        throw Violation("a store whose log is gone is opened as a new one")
    }
}
