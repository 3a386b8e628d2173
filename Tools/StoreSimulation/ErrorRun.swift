internal import ReliabilityFileStore
internal import ReliabilityStore

/// A random workload with a fault that occurs once or at every later call.
///
/// The seed and the fault determine the run. Every answer is compared with the model. The run checks these rules:
///
/// - After an error of any kind, an open store has failed permanently. Waiting calls throw `unknownOutcome` or
///   `failed`, and later calls throw `failed`.
/// - An error in a maintenance step has no effect on callers, except that a write may find no room.
/// - A full disk never ends a store. A write is rejected with `diskFull` and changes nothing. Reads continue, and
///   writes succeed again when there is space.
/// - A short read or write has no effect on callers.
/// - A failed opening leaves no file open and succeeds at a later attempt.
/// - The files of a failed attempt are removed.
/// - A second owner is rejected, and the first owner is unaffected.
/// - Everything that an answer showed is present afterwards, with and without a loss of power.
struct ErrorRun {
    private let environment: CrashEnvironment
    private let mix: OperationMix
    private let length: Int
    private let fault: SimulatedFileSystem.Fault?
    private var random: SplitMix

    private var fileSystem: SimulatedFileSystem
    private var store: SimulatedStore
    private var oracle: DurabilityOracle
    /// The number of calls of earlier processes.
    private var earlierCalls = 0
    private var hadFailedBefore = false
    private var isOver = false
    private var isHealed = false

    /// The calls that can fail, recorded in a run without a fault.
    private(set) var calls: [SimulatedFileSystem.Call.Kind] = []
    private(set) var failures = 0
    private(set) var rejectedOpenings = 0
    private(set) var rejectedWrites = 0
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
            invalidPercentage: 2
        )
        let probes: [WorkloadOperation] =
            [.scan(prefix: StoreKey(OperationMix.keyspace), after: nil, limit: 1000)]
            + mix.queues.flatMap { queue -> [WorkloadOperation] in
                [.page(queue, .pending, after: nil, limit: 1000), .page(queue, .deadLetter, after: nil, limit: 1000)]
            }
        environment = CrashEnvironment(
            tuning: LogTuning(
                growth: one([512, 1024, 4096]),
                batchLimit: one([1, 700, 1 << 20]),
                compactionMinimum: one([512, 2048, 8192]),
                checkpointSize: one([1, 2048]),
                sliceLimit: one([2, 256])
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
        var new = DurabilityOracle(environment.newModel, openedAt: .min)
        new.mayBeNew = true
        let opening = try Self.open(environment, fileSystem, new, CrashExplorer.beginning)
        (store, oracle, rejectedOpenings) = (opening.store, opening.oracle, opening.rejections)
        hadFailedBefore = fileSystem.hasAffectedLog
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

    /// Opens the store and retries rejected openings, finally without a fault.
    private static func open(
        _ environment: CrashEnvironment,
        _ fileSystem: SimulatedFileSystem,
        _ crash: DurabilityOracle,
        _ unixTime: Int64
    ) throws(Violation) -> (store: SimulatedStore, oracle: DurabilityOracle, rejections: Int) {
        var known = crash
        var rejections = 0
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
                if rejections == 0 {
                    // The opening may have failed at its last step.
                    for var model in crash.possible {
                        model.reopen(nextVersion: model.nextVersion, now: max(crash.clockFloor, unixTime))
                        known = known.whileOpened(as: model, unixTime: unixTime)
                    }
                }
                if !fault.isPermanent || rejections > 0 { fileSystem.fault = nil }
                rejections += 1
                continue
            }
            return (store, try environment.check(store, known, unixTime: unixTime), rejections)
        }
    }

    /// Checks that an open store has only the files that it needs.
    private func checkLeftovers() throws(Violation) {
        let names = Set(fileSystem.disk.names.map(\.name))
        let extra = names.subtracting(store.fileNames).subtracting(["LOCK"])
        if !extra.isEmpty { throw Violation("the store has the files \(extra)") }
    }

    /// Checks that a second opening of the open store is rejected.
    private mutating func openTwice() throws(Violation) {
        let count = fileSystem.openCount
        var reason: StoreError.Reason?
        do throws(StoreError) {
            let second = try environment.open(fileSystem, store.now)
            second.close()
        } catch {
            reason = error.reason
        }
        if !isOver, fileSystem.hasAffectedLog { hadFailedBefore = true }
        guard reason == .locked || reason == .unavailable && fileSystem.hasFailed else {
            throw Violation("a second owner was told \(reason as Any)")
        }
        if fileSystem.openCount != count { throw Violation("files are open after a second owner was rejected") }
    }

    private mutating func close() throws(Violation) {
        oracle.mayBeClosed = true
        oracle.mayHaveReached(store.now)
        store.close()
        if store.end?.reason == .closed {
            try checkWhetherItShouldHaveFailed()
            try oracle.recordAnswers(of: store)
            oracle.isClosed = true
        } else {
            try recordStep()
        }
        if fileSystem.openCount > 0 { throw Violation("files are open after the store was closed") }
        if let misuse = fileSystem.misuse { throw Violation(misuse) }
    }

    /// Closes the store and opens it in another process.
    private mutating func reopen() throws(Violation) {
        try close()
        let (opening, next) = (store.now, fileSystem.restarted())
        endProcess()
        next.recordsCalls = fault == nil
        if var rest = fault, !isHealed, rest.isPermanent || rest.call > earlierCalls {
            rest.call = max(1, rest.call - earlierCalls)
            next.fault = rest
        }
        fileSystem = next
        let opened = try Self.open(environment, next, oracle, opening)
        (store, oracle) = (opened.store, opened.oracle)
        rejectedOpenings += opened.rejections
        if opened.rejections > 0, fault?.isPermanent == true { isHealed = true }
        hadFailedBefore = next.hasAffectedLog
        isOver = false
    }

    private mutating func endProcess() {
        calls += fileSystem.calls.map(\.kind).filter { $0 != .close }
        earlierCalls += fileSystem.callCount
    }

    // MARK: Workload

    mutating func work() throws(Violation) {
        for _ in 0..<length {
            if Int.random(in: 0..<3, using: &random) == 0 {
                store.advance(
                    by: [1, 300_000, 1_000_000, 10_000_000, 1_000_000_000].randomElement(using: &random) ?? 0
                )
            }
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<6:
                try submit(mix.next(oracle.model, using: &random))
                try settle()
            case 6..<13: try submit(mix.next(oracle.model, using: &random))
            case 13, 14: store.beginStep()
            case 15, 16:
                store.finishStep()
                try recordStep()
            case 17: try openTwice()
            case 18: try settle()
            default: try reopen()
            }
        }
        try settle()
        if isFullDisk {
            // There is space again, and the store needs no reopening.
            fileSystem.fault = nil
            isHealed = true
        }
        let value = [UInt8](repeating: 1, count: 3000)
        for _ in 0..<3 {
            try submit(.commit([.put(mix.keys[0], value, .never, if: .any)], []))
            try settle()
        }
        let reserve = fileSystem.disk.bytes(of: LogFormat.reserveName)?.count ?? 0
        if !isOver, fault == nil || isHealed, reserve < environment.wantedReserve(store) {
            throw Violation("the store has a reserve of \(reserve) bytes on a disk with space")
        }
        endProcess()
    }

    private mutating func submit(_ operation: WorkloadOperation) throws(Violation) {
        let wasOver = isOver
        oracle.mayHaveReached(store.now)
        let now = store.now
        let ticket = store.submit(operation)
        try recordStep()
        if wasOver, ticket.answer != .rejected(.failed) {
            throw Violation("\(operation) was answered with \(ticket.answer) by a store that failed")
        }
        switch ticket.answer {
        case .rejected(.failed) where isOver: return
        case .rejected(.diskFull), .rejected(.unavailable):
            guard isFullDisk || isError && fileSystem.hasFailed else {
                throw Violation("\(operation) was rejected, though there is space")
            }
            try oracle.rejectedForSpace(operation, now: now)
            rejectedWrites += 1
            // The write changed nothing, and reads continue.
            try submit(environment.probes[0])
            try submit(environment.probes[1])
        default:
            try oracle.submitted(operation, ticket, now: now)
            if !isOver { try recordStep() }
        }
    }

    private mutating func settle() throws(Violation) {
        repeat {
            store.finishStep()
            try recordStep()
        } while store.beginStep()
        if oracle.hasWaiting { throw Violation("an answer waits forever") }
        if !isError { try checkLeftovers() }
    }

    /// Records the answers and failures of the store.
    private mutating func recordStep() throws(Violation) {
        if let problem = store.problem { throw Violation(problem) }
        if let misuse = fileSystem.misuse { throw Violation(misuse) }
        guard let end = store.end else {
            try checkWhetherItShouldHaveFailed()
            return try oracle.recordAnswers(of: store)
        }
        if isOver { return }
        guard isError, fileSystem.hasAffectedLog, end.reason == .failed else {
            throw Violation("the store failed: \(end)")
        }
        isOver = true
        failures += 1
        try oracle.failed(store)
    }

    private func checkWhetherItShouldHaveFailed() throws(Violation) {
        if isError, !isOver, fileSystem.hasAffectedLog, !hadFailedBefore {
            throw Violation("the store goes on after an error")
        }
    }

    // MARK: Crashes

    /// Ends the process and the power in several ways, and checks each state.
    mutating func crash() throws(Violation) {
        let disk = fileSystem.disk
        try crash(disk, .kill)
        try crash(disk, .nothing)
        try crash(disk, .everything)
        // A crash may keep one of two parts of a sector, which looks like damage.
        if fault == nil || isError { try crash(disk, .random(random.next())) }
        try close()
        try crash(fileSystem.disk, .kill)
        try crash(fileSystem.disk, .nothing)
        if store.end?.reason == .closed { try loseFiles(fileSystem.disk.crashed(.nothing)) }
    }

    private mutating func crash(_ disk: SimulatedDisk, _ choice: CrashChoice) throws(Violation) {
        // The wall clock is right or set back.
        let unixTime = store.now - ([0, 0, 5_000_000, 3_600_000_000_000].randomElement(using: &random) ?? 0)
        do throws(Violation) {
            let run = try reopened(disk.crashed(choice), oracle, unixTime)
            guard case .kill = choice else { return }
            // Content of the page cache is durable after an opening showed it.
            _ = try reopened(run.disk.crashed(.nothing), run.oracle, unixTime)
        } catch {
            throw Violation("\(choice), and \(error)")
        }
    }

    private mutating func reopened(
        _ disk: SimulatedDisk,
        _ oracle: DurabilityOracle,
        _ unixTime: Int64
    ) throws(Violation) -> CrashRun {
        crashes += 1
        let next = fileSystem.restarted(with: disk)
        return try CrashRun(environment, next, oracle, unixTime: unixTime, keepsPoints: false)
    }

    /// Checks that a store without a file that it needs is damaged and not new.
    private func loseFiles(_ disk: SimulatedDisk) throws(Violation) {
        for name in store.neededFileNames {
            let next = fileSystem.restarted(with: disk.without(name))
            do throws(StoreError) {
                _ = try environment.open(next, store.now)
            } catch {
                if case .corruption(name, _) = error.reason { continue }
                throw Violation("without \(name) the store was rejected with \(error)")
            }
            throw Violation("a store without \(name) was opened")
        }
    }
}
