internal import ReliabilityCore
package import ReliabilityFileStore
internal import ReliabilityStore

/// A moment at which the power may end: the disk as it is, and what callers know.
package struct CrashPoint: Sendable {
    package var disk: SimulatedDisk
    package var witness: CrashWitness
}

/// A store and its model, side by side; every answer is compared at once.
package final class CrashRun {
    package let environment: CrashEnvironment
    package private(set) var store: SimulatedStore
    package private(set) var witness: CrashWitness
    /// Every moment since ``mark()`` at which the power could have ended.
    package private(set) var points: [CrashPoint] = []

    /// Opens a store for the first time.
    package convenience init(_ environment: CrashEnvironment, seed: UInt64, unixTime: Int64) throws(Violation) {
        var new = CrashWitness(environment.newModel, openedAt: .min)
        new.mayBeNew = true
        try self.init(environment, SimulatedFileSystem(seed: seed), new, unixTime: unixTime, keepsPoints: true)
    }

    /// Opens a store after a crash.
    ///
    /// - Parameters:
    ///   - environment: How it is opened.
    ///   - fileSystem: What is left.
    ///   - crash: What was known.
    ///   - unixTime: The wall clock.
    ///   - keepsPoints: Whether to remember at which moments of the opening the power could have ended.
    ///   - checksTail: Whether everything that is left was written by the store.
    /// - Throws: ``Violation``.
    package init(
        _ environment: CrashEnvironment,
        _ fileSystem: SimulatedFileSystem,
        _ crash: CrashWitness,
        unixTime: Int64,
        keepsPoints: Bool,
        checksTail: Bool = true
    ) throws(Violation) {
        self.environment = environment
        fileSystem.keepsSnapshots = keepsPoints
        let log = fileSystem.disk.bytes(of: "log")
        do throws(StoreError) {
            store = try environment.open(fileSystem, unixTime)
        } catch {
            if fileSystem.openCount > 0 { throw Violation("a store that was not opened has files open") }
            throw Violation("the store cannot be opened: \(error)", reason: error.reason)
        }
        witness = crash
        witness = try environment.check(store, crash, unixTime: unixTime)
        points = []
        if keepsPoints {
            let during = crash.whileOpened(as: witness.model, unixTime: unixTime)
            points = fileSystem.snapshots.map { CrashPoint(disk: $0, witness: during) }
            fileSystem.clearSnapshots()
        }
        if let log, checksTail { try checkTail(log) }
        if !points.isEmpty { points[points.count - 1].witness = witness }
    }

    /// What was cut off is reported, and nothing else.
    private func checkTail(_ log: [UInt8]) throws(Violation) {
        let start = Int(store.recovery.replayedBytes)
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

    package var model: ModelStore { witness.model }
    package var now: Int64 { store.now }
    package var isCompacting: Bool { store.isCompacting }
    package var disk: SimulatedDisk { store.fileSystem.disk }

    /// Forgets the moments before now, and remembers those that come.
    package func mark() {
        points = [CrashPoint(disk: disk, witness: witness)]
        store.fileSystem.keepsSnapshots = true
    }

    /// Forgets the moments before now, and those that come.
    package func unmark() {
        points = []
        store.fileSystem.keepsSnapshots = false
    }

    /// Leaves the disk no more space than this; nil for as much as anybody wants.
    ///
    /// A write for which there is none has to change nothing.
    package func limitSpace(to free: Int?) {
        store.fileSystem.capacity = free.map { store.fileSystem.usedBytes + $0 } ?? .max
    }

    // MARK: Calls

    package func advance(by nanoseconds: Int64) { store.advance(by: nanoseconds) }

    /// Hands in an operation, and does not wait for its answer to hold.
    package func submit(_ operation: StoreOperation) throws(Violation) {
        let now = store.now
        witness.mayHaveReached(now)
        let ticket = store.submit(operation)
        // What was written meanwhile did not have to do with it.
        try look()
        if ticket.answer == .refused(.diskFull), store.fileSystem.capacity < .max {
            return try witness.refusedForSpace(operation, now: now)
        }
        try witness.submitted(operation, ticket, now: now)
        try look()
    }

    /// Makes a call, and waits for its answer.
    package func call(_ operation: StoreOperation) throws(Violation) {
        try submit(operation)
        try settle()
    }

    /// Begins what the store wants done next.
    package func begin() { store.beginStep() }

    /// Does what was begun.
    package func finish() throws(Violation) {
        store.finishStep()
        try look()
    }

    /// Does all that the store wants done.
    package func settle() throws(Violation) {
        repeat {
            store.finishStep()
            try look()
        } while store.beginStep()
        if witness.hasWaiting { throw Violation("an answer waits for ever") }
    }

    /// Closes the store, and opens it again.
    package func reopen(unixTime: Int64) throws(Violation) {
        try settle()
        witness.mayBeClosed = true
        witness.mayHaveReached(store.now)
        store.close()
        try look()
        witness.isClosed = true
        try look()
        if store.fileSystem.openCount != 0 { throw Violation("a closed store has files open") }
        let next = try CrashRun(
            environment,
            store.fileSystem.restarted(),
            witness,
            unixTime: unixTime,
            keepsPoints: store.fileSystem.keepsSnapshots
        )
        store = next.store
        witness = next.witness
        points += next.points
    }

    /// Opens the store once more, which has to be refused.
    package func checkOwner() throws(Violation) {
        let open = store.fileSystem.openCount
        do throws(StoreError) {
            _ = try environment.open(store.fileSystem, now)
        } catch {
            if error.reason != .locked { throw Violation("a second owner was refused with \(error)") }
            if store.fileSystem.openCount != open { throw Violation("a second owner left files open") }
            return try look()
        }
        throw Violation("the store has two owners")
    }

    /// Removes the log, which has to be noticed.
    package func checkMissingLog() throws(Violation) {
        let fileSystem = SimulatedFileSystem(disk.crashed(.nothing).without("log"))
        do throws(StoreError) {
            _ = try environment.open(fileSystem, now)
        } catch {
            guard case .corruption = error.reason else { throw Violation("a missing log was reported as \(error)") }
            return
        }
        throw Violation("a missing log was not noticed")
    }

    /// Takes note of what was written, and of who is told now.
    private func look() throws(Violation) {
        let fileSystem = store.fileSystem
        for snapshot in fileSystem.snapshots { points.append(CrashPoint(disk: snapshot, witness: witness)) }
        fileSystem.clearSnapshots()
        try witness.told(by: store)
        // A crash a moment later finds the same disk, and callers who know more.
        if !points.isEmpty { points[points.count - 1].witness = witness }
        if store.isStuck { throw Violation("the store neither answers nor does anything") }
        if let misuse = fileSystem.misuse { throw Violation(misuse) }
        if let end = store.end, !witness.mayBeClosed { throw Violation("the store failed: \(end)") }
    }
}

/// How a simulated store is opened, and how its content is read.
package struct CrashEnvironment: Sendable {
    package var tuning: LogTuning
    package var configuration: FileStore.Configuration
    /// The most bytes that one call writes, and reads.
    package var longestWrite = Int.max
    package var longestRead = Int.max
    /// What to ask, to see all that the store holds.
    package var probes: [StoreOperation]

    package init(tuning: LogTuning, configuration: FileStore.Configuration = .init(), probes: [StoreOperation]) {
        self.tuning = tuning
        self.configuration = configuration
        self.probes = probes
    }

    var newModel: ModelStore {
        let (entries, bytes) = (configuration.maximumEntries, configuration.maximumBytes)
        return ModelStore(limits: StoreLimits(maximumEntries: entries, maximumBytes: bytes))
    }

    func open(_ fileSystem: SimulatedFileSystem, _ unixTime: Int64) throws(StoreError) -> SimulatedStore {
        fileSystem.longestWrite = longestWrite
        fileSystem.longestRead = longestRead
        return try SimulatedStore(fileSystem, unixTime: unixTime, configuration: configuration, tuning: tuning)
    }

    /// Compares a store that was opened after a crash with what was known before.
    ///
    /// - Returns: What is known now.
    func check(
        _ store: SimulatedStore,
        _ crash: CrashWitness,
        unixTime: Int64
    ) throws(Violation) -> CrashWitness {
        guard let openedAt = store.capabilities.openedAt?.rawValue else { throw Violation("no first version") }
        if openedAt < crash.nextVersion {
            throw Violation("version \(openedAt) is issued again; \(crash.nextVersion) would be new")
        }
        let recovery = store.recovery
        // A wall clock that is too far ahead of the last time that is durable is not believed.
        let believed = unixTime.subtractedSaturating(configuration.maximumClockJump.saturatingNanoseconds)
        let mayBeHeld = !recovery.isNew && crash.clockFloor < believed
        let mustBeHeld = !recovery.isNew && crash.clockCeiling < believed
        let floor = mayBeHeld ? crash.clockFloor : max(crash.clockFloor, unixTime)
        let ceiling = mustBeHeld ? crash.clockCeiling : max(crash.clockCeiling, unixTime)
        if store.start < floor || store.start > ceiling {
            throw Violation("the clock starts at \(store.start), not from \(floor) to \(ceiling)")
        }
        if recovery.wallClockOffset != .nanoseconds(unixTime.subtractedSaturating(store.start)) {
            throw Violation("the wall clock is said to be ahead by \(recovery.wallClockOffset)")
        }
        if recovery.isNew && !crash.mayBeNew { throw Violation("the store is new, and was not") }
        if !recovery.isNew {
            if recovery.wasClosed && !crash.mayBeClosed && !crash.isClosed {
                throw Violation("the store says that it was closed, and was not")
            }
            if !recovery.wasClosed && crash.isClosed { throw Violation("the store says that it was not closed") }
            if recovery.wasClosed && recovery.droppedTailBytes > 0 {
                throw Violation("\(recovery.droppedTailBytes) bytes are missing from a store that was closed")
            }
        }
        let content = store.content
        var found: ModelStore?
        var nearest: StoreContent?
        for possible in crash.possible {
            var model = possible
            model.reopen(nextVersion: openedAt, now: store.start)
            model.forgetExpired(now: store.start)
            nearest = model.content(now: store.start)
            if nearest != content { continue }
            found = model
            break
        }
        guard let model = found else {
            let difference = nearest.map { content.difference(to: $0) } ?? "no content is possible"
            throw Violation("of \(crash.possible.count) possible contents it has none: \(difference)")
        }
        var probed = model
        for operation in probes {
            let ticket = store.submit(operation)
            let answer = probed.apply(operation, now: store.start)
            guard store.told(ticket) == answer else {
                throw Violation("\(operation) was answered with \(ticket.answer), not at once with \(answer)")
            }
        }
        return CrashWitness(model, openedAt: store.start)
    }
}
