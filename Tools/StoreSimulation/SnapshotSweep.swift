internal import ReliabilityFileStore
internal import ReliabilityStore

/// The counts of a sweep over snapshots.
package struct SnapshotCounts: SweepCounts, Hashable {
    package var snapshots = 0
    /// The number of crashes after which the copy was opened.
    package var crashes = 0
    /// The number of crashes after which the copy was whole.
    package var whole = 0
    package var faults = 0

    package init() {}

    package mutating func add(_ other: SnapshotCounts) {
        snapshots += other.snapshots
        crashes += other.crashes
        whole += other.whole
        faults += other.faults
    }
}

/// A random workload during which a snapshot is written, with a crash and a fault at every call of the snapshot.
///
/// A copy after a crash is whole, is rejected as damaged or has no file but LOCK. A snapshot that failed leaves a copy
/// of the same kind. The store is unaffected.
package struct SnapshotSweep: Sweep {
    package private(set) var counts = SnapshotCounts()
    private let seed: UInt64
    /// The number of snapshots that are written one after the other without a fault.
    private static let furtherSnapshots = 30

    package init(_ seed: UInt64) { self.seed = seed }

    package mutating func run() throws(Violation) {
        var random = SplitMix(seed)
        let copy = SimulatedFileSystem(seed: seed)
        copy.keepsSnapshots = true
        let run = try SnapshotRun(seed)
        if let error = try run.snapshot(to: copy) { throw Violation("the snapshot failed: \(error)") }
        counts.snapshots += 1
        // Everything is durable when the call returns.
        for choice in copy.disk.crashChoices(randomSubsets: 8, seed: seed) {
            counts.crashes += 1
            guard try run.outcome(of: copy.disk.crashed(choice)) == .whole else {
                throw Violation("the copy is not whole after \(choice)")
            }
        }
        for (index, disk) in copy.snapshots.enumerated() {
            for choice in disk.crashChoices(randomSubsets: 2, seed: random.next()) {
                counts.crashes += 1
                do throws(Violation) {
                    if try run.outcome(of: disk.crashed(choice)) == .whole { counts.whole += 1 }
                } catch {
                    throw Violation("\(choice) at point \(index) of \(copy.snapshots.count): \(error)")
                }
            }
        }
        for _ in 0..<Self.furtherSnapshots {
            counts.snapshots += 1
            let copy = SimulatedFileSystem(seed: seed)
            run.work(Int.random(in: 0...20, using: &random))
            if let error = try run.snapshot(to: copy) { throw Violation("a further snapshot failed: \(error)") }
            guard try run.outcome(of: copy.disk) == .whole else { throw Violation("a further copy is not whole") }
        }
        try run.checkStore()
        try runWithFaults(calls: copy.callCount)
        try runWithFaultsOfStore()
    }

    /// Fails each call to the file system of the store during a snapshot.
    private mutating func runWithFaultsOfStore() throws(Violation) {
        let intact = try SnapshotRun(seed)
        let calls = intact.callCount
        if let error = try intact.snapshot(to: SimulatedFileSystem(seed: seed), isQuiet: true) {
            throw Violation("the snapshot failed: \(error)")
        }
        for call in 0..<intact.callCount - calls {
            counts.faults += 1
            let run = try SnapshotRun(seed)
            run.fail(atCall: calls + call + 1)
            let copy = SimulatedFileSystem(seed: seed)
            guard try run.snapshot(to: copy, isQuiet: true) != nil else {
                throw Violation("the snapshot succeeded, although call \(call) of the store failed")
            }
            if copy.openCount > 0 { throw Violation("the snapshot left files open") }
            guard try run.outcome(of: copy.disk) == .empty else { throw Violation("the snapshot left files") }
            run.fail(atCall: nil)
            try run.checkStore()
        }
    }

    private mutating func runWithFaults(calls: Int) throws(Violation) {
        let kinds: [SimulatedFileSystem.Fault.Kind] = [.error, .lateError, .noSpace(writesHalf: true), .short]
        for call in 1...calls {
            for kind in kinds {
                for isPermanent in [false, true] {
                    counts.faults += 1
                    let copy = SimulatedFileSystem(seed: seed)
                    copy.fault = .init(kind, atCall: call, isPermanent: isPermanent)
                    // A crash during the removal of a snapshot that failed.
                    copy.keepsSnapshots = kind == .error && !isPermanent && call % 8 == Int(seed % 8)
                    do throws(Violation) {
                        try check(copy)
                    } catch {
                        throw Violation("\(kind) at call \(call), permanent: \(isPermanent): \(error)")
                    }
                }
            }
        }
    }

    /// Writes a snapshot to a file system with a fault and checks the copy and the store.
    private mutating func check(_ copy: SimulatedFileSystem) throws(Violation) {
        let run = try SnapshotRun(seed)
        let error = try run.snapshot(to: copy)
        if copy.openCount > 0 { throw Violation("the snapshot left files open") }
        if let misuse = copy.misuse { throw Violation(misuse) }
        let outcome = try run.outcome(of: copy.disk)
        // A fault of the last calls can leave a copy that is whole.
        if error == nil, outcome != .whole {
            throw Violation("the snapshot succeeded and left a copy that is \(outcome)")
        }
        try run.checkStore()
        for disk in copy.snapshots.suffix(8) {
            for choice in disk.crashChoices(randomSubsets: 1, seed: seed) {
                counts.crashes += 1
                do throws(Violation) { _ = try run.outcome(of: disk.crashed(choice)) } catch {
                    throw Violation("then \(choice): \(error)")
                }
            }
        }
    }
}

/// A store with a workload that continues while a snapshot is written.
private final class SnapshotRun {
    enum Outcome {
        case whole
        case rejected
        case empty
    }

    private let store: SimulatedStore
    private let mix = OperationMix(longestValue: 300)
    private var model: ModelStore
    private var random: SplitMix
    /// The content after each batch that was not durable at the last look.
    private var contents: [(batch: UInt64, content: StoreContent)] = []
    /// The content of the snapshot.
    private var expected: StoreContent?

    private static let tuning = LogTuning(growth: 2048, compactionMinimum: 8192, checkpointSize: 4096, sliceLimit: 4)

    init(_ seed: UInt64) throws(Violation) {
        random = SplitMix(seed)
        do throws(StoreError) {
            store = try Self.open(SimulatedFileSystem(seed: seed &+ 1))
        } catch {
            throw Violation("the store cannot be opened: \(error)")
        }
        model = ModelStore(nextVersion: store.capabilities.openedAt?.rawValue ?? 1)
        for _ in 0..<Int.random(in: 5...120, using: &random) { work() }
    }

    private static func open(_ fileSystem: SimulatedFileSystem) throws(StoreError) -> SimulatedStore {
        try SimulatedStore(fileSystem, unixTime: CrashExplorer.beginning, tuning: tuning)
    }

    /// Continues the workload.
    func work(_ count: Int) { for _ in 0..<count { work() } }

    /// Submits an operation or executes a step.
    private func work() {
        switch Int.random(in: 0..<8, using: &random) {
        case 0: store.beginStep()
        case 1: store.beginMaintenanceStep()
        case 2: store.finishLogStep()
        case 3: store.finishMaintenanceStep()
        case 4: store.finishStep()
        default:
            let operation = mix.next(model, using: &random)
            let ticket = store.submit(operation)
            _ = model.apply(operation, now: store.now)
            if ticket.isChange { contents.append((ticket.batch, store.content)) }
        }
    }

    /// The number of calls to the file system of the store that can fail.
    var callCount: Int { store.fileSystem.callCount }

    /// Lets a call to the file system of the store fail, or no call.
    func fail(atCall call: Int?) { store.fileSystem.fault = call.map { .init(.error, atCall: $0) } }

    /// Writes a snapshot.
    ///
    /// - Parameters:
    ///   - copy: The file system of the snapshot.
    ///   - isQuiet: `true` if the workload does not continue meanwhile.
    /// - Returns: The error of the snapshot, or `nil`.
    /// - Throws: ``Violation``.
    func snapshot(to copy: SimulatedFileSystem, isQuiet: Bool = false) throws(Violation) -> StoreError? {
        expected = contents.last { $0.batch <= store.durable }?.content ?? StoreContent(entries: [], records: [])
        let names = Set(store.fileSystem.disk.names.map(\.name)).intersection(store.neededFileNames)
        do throws(StoreError) {
            try store.snapshot(to: copy) {
                for _ in 0..<(isQuiet ? 0 : Int.random(in: 0...12, using: &random)) { work() }
            }
        } catch {
            return error
        }
        let missing = names.subtracting(store.fileSystem.disk.names.map(\.name))
        if !missing.isEmpty { throw Violation("\(missing) were removed during the snapshot") }
        return nil
    }

    /// Opens a copy and compares its content.
    func outcome(of disk: SimulatedDisk) throws(Violation) -> Outcome {
        let hasFiles = disk.names.contains { $0.name != LogFormat.lockName }
        let content: StoreContent
        do throws(StoreError) {
            content = try StoreReading(SimulatedFileSystem(disk)).content
        } catch {
            switch error.reason {
            case .corruption: return .rejected
            case .unavailable where !hasFiles: return .empty
            default: throw Violation("the copy is rejected with \(error)")
            }
        }
        guard let expected, content == expected else {
            let difference = expected.map { content.difference(to: $0) } ?? ""
            throw Violation("the copy has other content: \(difference)")
        }
        let owner: SimulatedStore
        do throws(StoreError) {
            owner = try Self.open(SimulatedFileSystem(disk))
        } catch {
            throw Violation("the copy cannot be opened for writing: \(error)")
        }
        if !owner.recovery.wasClosed { throw Violation("the copy counts as not closed") }
        owner.close()
        return .whole
    }

    /// Checks that the store has its content and no other files.
    func checkStore() throws(Violation) {
        for _ in 0..<20 { work() }
        store.settle()
        if let end = store.end { throw Violation("the store has ended: \(end)") }
        if let problem = store.problem { throw Violation(problem) }
        let content = store.content
        let names = Set(store.fileSystem.disk.names.map(\.name)).subtracting([LogFormat.lockName])
        if names != store.fileNames { throw Violation("the store has the files \(names)") }
        store.close()
        let found: StoreContent
        do throws(StoreError) {
            found = try StoreReading(store.fileSystem.restarted()).content
        } catch {
            throw Violation("the store cannot be read: \(error)")
        }
        if found != content { throw Violation("the store lost content: \(found.difference(to: content))") }
    }
}
