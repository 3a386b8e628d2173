internal import ReliabilityCore
internal import ReliabilityFileStore
internal import ReliabilityStore

/// An instant at which the power may end: the disk and the knowledge of the callers.
package struct CrashPoint: Sendable {
    package var disk: SimulatedDisk
    package var oracle: DurabilityOracle
}

extension CrashPoint {
    /// Opens the store after a crash at this point.
    ///
    /// - Parameters:
    ///   - choice: The changes that the crash keeps.
    ///   - environment: The environment of the opening.
    ///   - seed: The seed of the file system after the crash.
    ///   - unixTime: The wall clock.
    ///   - keepsPoints: `true` to record the instants of the opening at which the power could have ended.
    /// - Returns: The opened store, or `nil` if the store rejects files that no disk leaves behind.
    /// - Throws: ``Violation``.
    package func crash(
        _ choice: CrashChoice,
        _ environment: CrashEnvironment,
        seed: UInt64,
        unixTime: Int64,
        keepsPoints: Bool
    ) throws(Violation) -> CrashRun? {
        let crashed = disk.crashed(choice)
        do throws(Violation) {
            if choice.isPossible, seed % 8 == 0 { try checkWithoutLock(crashed, environment, unixTime) }
            return try CrashRun(
                environment,
                SimulatedFileSystem(seed: seed, crashed),
                oracle,
                unixTime: unixTime,
                keepsPoints: keepsPoints,
                checksTail: choice.isPossible
            )
        } catch {
            if case .corruption = error.reason, choice.mayBeRejected { return nil }
            throw error
        }
    }

    /// Checks that a copy of the files without LOCK has the content too.
    private func checkWithoutLock(
        _ disk: SimulatedDisk,
        _ environment: CrashEnvironment,
        _ unixTime: Int64
    ) throws(Violation) {
        let store: SimulatedStore
        do throws(StoreError) {
            store = try environment.open(SimulatedFileSystem(disk.without(LogFormat.lockName)), unixTime)
        } catch {
            // A segment that was never in use may be damaged, and only LOCK shows that the segment was not in use.
            if case .corruption = error.reason { return }
            throw Violation("the files cannot be opened without LOCK: \(error)")
        }
        do throws(Violation) { _ = try environment.check(store, oracle, unixTime: unixTime) } catch {
            throw Violation("without LOCK, \(error)")
        }
    }
}

/// A store and its model.
///
/// Every answer is compared immediately.
package final class CrashRun {
    package let environment: CrashEnvironment
    package private(set) var store: SimulatedStore
    package private(set) var oracle: DurabilityOracle
    /// Every instant since ``mark()`` at which the power could have ended.
    package private(set) var points: [CrashPoint] = []
    /// A Boolean value that indicates whether the disk may have been full since the opening.
    private var mayHaveBeenFull = false

    /// Opens a store for the first time.
    package convenience init(_ environment: CrashEnvironment, seed: UInt64, unixTime: Int64) throws(Violation) {
        var new = DurabilityOracle(environment.newModel, openedAt: .min)
        new.mayBeNew = true
        try self.init(environment, SimulatedFileSystem(seed: seed), new, unixTime: unixTime, keepsPoints: true)
    }

    /// Opens a store after a crash.
    ///
    /// - Parameters:
    ///   - environment: The environment of the opening.
    ///   - fileSystem: The file system after the crash.
    ///   - crash: The knowledge of the callers before the crash.
    ///   - unixTime: The wall clock.
    ///   - keepsPoints: `true` to record the instants of the opening at which the power could have ended.
    ///   - checksTail: `true` if the store wrote everything that is left.
    /// - Throws: ``Violation``.
    package init(
        _ environment: CrashEnvironment,
        _ fileSystem: SimulatedFileSystem,
        _ crash: DurabilityOracle,
        unixTime: Int64,
        keepsPoints: Bool,
        checksTail: Bool = true
    ) throws(Violation) {
        self.environment = environment
        fileSystem.keepsSnapshots = keepsPoints
        let before = fileSystem.disk
        do throws(StoreError) {
            store = try environment.open(fileSystem, unixTime)
        } catch {
            if fileSystem.openCount > 0 { throw Violation("a store that was not opened has files open") }
            throw Violation("the store cannot be opened: \(error)", reason: error.reason)
        }
        oracle = crash
        oracle = try environment.check(store, crash, unixTime: unixTime)
        points = []
        if keepsPoints {
            let during = crash.whileOpened(as: oracle.model, unixTime: unixTime)
            points = fileSystem.snapshots.map { CrashPoint(disk: $0, oracle: during) }
            fileSystem.clearSnapshots()
        }
        if let (name, end) = store.recoveredLog, let log = before.bytes(of: name), checksTail {
            try checkTail(log, from: Int(end))
        }
        if !points.isEmpty { points[points.count - 1].oracle = oracle }
    }

    /// Checks that exactly the tail that was cut off is reported.
    private func checkTail(_ log: [UInt8], from start: Int) throws(Violation) {
        let hasWords = unsafe log.withUnsafeBytes { bytes in
            stride(from: start, to: bytes.count & ~7, by: 8).contains { position in
                unsafe bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self) != 0
            }
        }
        let hasTail = hasWords || log.suffix(log.count % 8).contains { $0 != 0 }
        let dropped = store.recovery.droppedTailBytes
        if hasTail != (dropped > 0) {
            throw Violation("there is \(hasTail ? "a" : "no") tail behind the log, and \(dropped) bytes were dropped")
        }
    }

    package var model: ModelStore { oracle.model }
    package var now: Int64 { store.now }
    package var isCompacting: Bool { store.isCompacting }
    package var isInstalling: Bool { store.isInstalling }
    package var disk: SimulatedDisk { store.fileSystem.disk }

    /// Drops the earlier points and records the later points.
    package func mark() {
        points = [CrashPoint(disk: disk, oracle: oracle)]
        store.fileSystem.keepsSnapshots = true
    }

    /// Drops the earlier points and records no later points.
    package func unmark() {
        points = []
        store.fileSystem.keepsSnapshots = false
    }

    /// Limits the free space of the disk, or removes the limit with `nil`.
    ///
    /// A write without space must change nothing.
    package func limitSpace(to free: Int?) {
        store.fileSystem.capacity = free.map { store.fileSystem.usedBytes + $0 } ?? .max
        mayHaveBeenFull = true
    }

    /// Removes the limit of the disk's space, and checks that the reserve is full after some writes.
    ///
    /// - Parameter operation: A write that is never rejected.
    /// - Throws: ``Violation``.
    package func freeSpace(_ operation: WorkloadOperation) throws(Violation) {
        limitSpace(to: nil)
        // A reserve without space is filled after further writes. Each write takes at least one sector.
        for _ in 0...environment.tuning.growth / Int64(LogFormat.sectorSize) { try call(operation) }
        try checkReserve()
    }

    private func checkReserve() throws(Violation) {
        let wanted = environment.wantedReserve(store)
        if reserve < wanted { throw Violation("the reserve has \(reserve) bytes, not \(wanted)") }
    }

    // MARK: Calls

    package func advance(by nanoseconds: Int64) { store.advance(by: nanoseconds) }

    /// Submits an operation without a wait for its durability.
    package func submit(_ operation: WorkloadOperation) throws(Violation) {
        let now = store.now
        oracle.mayHaveReached(now)
        let ticket = store.submit(operation)
        // The steps in between do not belong to the operation.
        try recordStep()
        if ticket.answer == .rejected(.diskFull), store.fileSystem.capacity < .max {
            return try oracle.rejectedForSpace(operation, now: now)
        }
        try oracle.submitted(operation, ticket, now: now)
        try recordStep()
    }

    /// Makes a call and waits for its answer.
    package func call(_ operation: WorkloadOperation) throws(Violation) {
        try submit(operation)
        try settle()
    }

    /// Begins the next step of the store.
    package func begin() { store.beginStep() }

    /// Begins the next step of the log.
    package func beginLog() { store.beginLogStep() }

    /// Begins the next maintenance step of the store.
    package func beginMaintenance() { store.beginMaintenanceStep() }

    /// Executes only the step of the log that was begun.
    package func finishLog() throws(Violation) {
        store.finishLogStep()
        try recordStep()
    }

    /// Executes only the maintenance step that was begun.
    package func finishMaintenance() throws(Violation) {
        store.finishMaintenanceStep()
        try recordStep()
    }

    /// Executes the steps that were begun.
    package func finish() throws(Violation) {
        store.finishStep()
        try recordStep()
    }

    /// Executes all steps of the store.
    package func settle() throws(Violation) {
        repeat {
            store.finishStep()
            try recordStep()
        } while store.beginStep()
        if oracle.hasWaiting { throw Violation("an answer waits forever") }
    }

    /// Closes the store and opens it again, on a full disk if the disk is full.
    package func reopen(unixTime: Int64) throws(Violation) {
        try settle()
        if !mayHaveBeenFull { try checkReserve() }
        oracle.mayBeClosed = true
        oracle.mayHaveReached(store.now)
        store.close()
        try recordStep()
        oracle.isClosed = true
        try recordStep()
        if store.fileSystem.openCount != 0 { throw Violation("a closed store has files open") }
        let next = try opened(unixTime)
        store = next.store
        oracle = next.oracle
        mayHaveBeenFull = store.fileSystem.capacity < .max
        points += next.points
    }

    private func opened(_ unixTime: Int64) throws(Violation) -> CrashRun {
        let keepsPoints = store.fileSystem.keepsSnapshots
        let withSpace = store.fileSystem.restarted()
        guard store.fileSystem.capacity < .max else {
            return try CrashRun(environment, withSpace, oracle, unixTime: unixTime, keepsPoints: keepsPoints)
        }
        let full = store.fileSystem.restarted()
        full.capacity = store.fileSystem.capacity
        do throws(Violation) {
            return try CrashRun(environment, full, oracle, unixTime: unixTime, keepsPoints: keepsPoints)
        } catch {
            if error.reason != .diskFull { throw error }
            // The space that the opening needs at least is known only after an opening with enough space.
            let next = try CrashRun(environment, withSpace, oracle, unixTime: unixTime, keepsPoints: keepsPoints)
            let segment = next.disk.bytes(of: next.store.logName) ?? []
            if let header = try? FileHeader(decoding: Array(segment.prefix(512))), header.floor + 4096 <= reserve {
                throw Violation("the store cannot be opened on a full disk with a reserve of \(reserve) bytes")
            }
            return next
        }
    }

    /// The size of the reserve in bytes.
    private var reserve: Int64 { Int64(disk.bytes(of: LogFormat.reserveName)?.count ?? 0) }

    /// Compares the content of the open store with the model.
    package func checkContent() throws(Violation) {
        let (found, expected) = (store.content, model.content(now: now))
        if found != expected { throw Violation("in the open store, \(found.difference(to: expected))") }
    }

    /// Checks that a second opening is rejected.
    package func checkOwner() throws(Violation) {
        let open = store.fileSystem.openCount
        do throws(StoreError) {
            _ = try environment.open(store.fileSystem, now)
        } catch {
            if error.reason != .locked { throw Violation("a second owner was rejected with \(error)") }
            if store.fileSystem.openCount != open { throw Violation("a second owner left files open") }
            return try recordStep()
        }
        throw Violation("the store has two owners")
    }

    /// Checks that the removal of any file that the store needs is detected.
    package func checkMissingFiles() throws(Violation) {
        let disk = disk.crashed(.nothing)
        for name in store.neededFileNames {
            let fileSystem = SimulatedFileSystem(disk.without(name))
            do throws(StoreError) {
                _ = try environment.open(fileSystem, now)
            } catch {
                if case .corruption(name, _) = error.reason { continue }
                throw Violation("the missing file \(name) was reported as \(error)")
            }
            throw Violation("the missing file \(name) was not noticed")
        }
    }

    /// Records the changes of the disk and the answers that are given now.
    private func recordStep() throws(Violation) {
        let fileSystem = store.fileSystem
        // Every step may write the time.
        oracle.mayHaveReached(store.now)
        for snapshot in fileSystem.snapshots { points.append(CrashPoint(disk: snapshot, oracle: oracle)) }
        fileSystem.clearSnapshots()
        try oracle.recordAnswers(of: store)
        // A crash an instant later finds the same disk and callers with more answers.
        if !points.isEmpty { points[points.count - 1].oracle = oracle }
        if let problem = store.problem { throw Violation(problem) }
        if let misuse = fileSystem.misuse { throw Violation(misuse) }
        if let end = store.end, !oracle.mayBeClosed { throw Violation("the store failed: \(end)") }
    }
}
