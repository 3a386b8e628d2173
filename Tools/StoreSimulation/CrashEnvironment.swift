internal import ReliabilityCore
package import ReliabilityFileStore
internal import ReliabilityStore

/// The tuning and the limits of a simulated store, and the operations that read its content.
package struct CrashEnvironment: Sendable {
    package var tuning: LogTuning
    package var configuration: FileStore.Configuration
    /// The maximum number of bytes that one call writes or reads.
    package var longestWrite = Int.max
    package var longestRead = Int.max
    /// The operations that read everything in the store.
    package var probes: [WorkloadOperation]

    package init(tuning: LogTuning, configuration: FileStore.Configuration = .init(), probes: [WorkloadOperation]) {
        self.tuning = tuning
        self.configuration = configuration
        self.probes = probes
    }

    /// A Boolean value that indicates whether the store rejects no write for its limits.
    var isUnlimited: Bool { configuration == FileStore.Configuration() }

    var newModel: ModelStore {
        let (entries, bytes) = (configuration.maxEntries, configuration.maxBytes)
        return ModelStore(limits: StoreLimits(maxEntries: entries, maxBytes: bytes))
    }

    /// Returns the size of the reserve that a store has on a disk with space.
    ///
    /// The reserve has room for one checkpoint file and a small segment.
    func wantedReserve(_ store: SimulatedStore) -> Int64 {
        let disk = store.fileSystem.disk
        let checkpoints = store.neededFileNames.filter { LogFormat.number(.checkpoint, inName: $0) != nil }
        guard let largest = checkpoints.compactMap({ disk.bytes(of: $0)?.count }).max() else {
            return min(tuning.growth, 64 << 10)
        }
        return max(tuning.checkpointSize, Int64(largest)) + tuning.growth
    }

    func open(_ fileSystem: SimulatedFileSystem, _ unixTime: Int64) throws(StoreError) -> SimulatedStore {
        fileSystem.longestWrite = longestWrite
        fileSystem.longestRead = longestRead
        return try SimulatedStore(fileSystem, unixTime: unixTime, configuration: configuration, tuning: tuning)
    }

    /// Compares a store that was opened after a crash with the knowledge of the callers.
    ///
    /// - Returns: The knowledge of the callers after the opening.
    func check(
        _ store: SimulatedStore,
        _ crash: DurabilityOracle,
        unixTime: Int64
    ) throws(Violation) -> DurabilityOracle {
        guard let openedAt = store.capabilities.openedAt?.rawValue else { throw Violation("no first version") }
        if openedAt < crash.nextVersion {
            throw Violation("version \(openedAt) is issued again; \(crash.nextVersion) would be new")
        }
        let recovery = store.recovery
        // A wall clock too far ahead of the last durable time is not believed.
        let believed = unixTime.subtractedSaturating(configuration.maxClockJump.saturatingNanoseconds)
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
            guard store.answer(to: ticket) == answer else {
                throw Violation("\(operation) was answered with \(ticket.answer), not at once with \(answer)")
            }
        }
        return DurabilityOracle(model, openedAt: store.start)
    }
}
