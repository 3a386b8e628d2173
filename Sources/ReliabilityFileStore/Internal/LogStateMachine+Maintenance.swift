internal import ReliabilityCore
package import ReliabilityStore

/// The steps of the maintenance, snapshots and requested compactions.
extension LogStateMachine {
    /// A Boolean value that indicates whether ``nextMaintenanceStep(now:hasWaiting:)`` has a step.
    var isMaintenanceDue: Bool {
        switch phase {
        case .open: compaction.isDue(state.liveBytes, layout) || hasExpired
        case .closing, .ended: !compaction.isStopped
        }
    }

    private var hasExpired: Bool { state.nextExpiry.map { $0 <= state.now / 1_000_000 } ?? false }

    /// The time in nanoseconds since 1970 at which the next entry expires, or `nil` if no entry expires.
    var nextExpiry: Int64? { state.nextExpiry?.saturatingMultiply(1_000_000) }

    /// Returns the next step of the maintenance, which another thread than that of ``nextStep(hasWaiting:)`` may execute.
    ///
    /// The caller executes the step and reports the result with ``completed(_:_:)``.
    ///
    /// - Parameters:
    ///   - now: The store's clock.
    ///   - hasWaiting: `true` if requests are in the wait queue.
    /// - Returns: The step.
    package mutating func nextMaintenanceStep(now: Int64, hasWaiting: Bool) -> MaintenanceStep {
        if compaction.isStopped { return .wait }
        switch phase {
        case .open:
            state.advance(to: now)
            state.reclaim(atMost: tuning.sliceLimit)
        case .closing:
            // A waiting write may need a segment.
            if !hasWaiting { return compaction.isInSnapshot ? .wait : compaction.stop() }
            if compaction.requiredSize == nil { return .wait }
        case .ended:
            return compaction.isInSnapshot ? .wait : compaction.stop()
        }
        if compaction.pending == nil { checkpointBatch = hasOpenFrame ? openBatch.number : openBatch.number - 1 }
        return compaction.nextStep(state, layout: layout, position: position)
    }

    /// Records the result of a maintenance step.
    package mutating func completed(_ step: MaintenanceStep, _ result: MaintenanceResult) {
        compaction.completed(step, result)
    }

    /// A Boolean value that indicates whether no further maintenance step follows.
    package var isMaintenanceStopped: Bool { compaction.isStopped }

    /// The names of the files that the store has, for checks.
    package var fileNames: Set<String> { compaction.fileNames }

    /// The names of the files with content that an opening needs, for checks.
    package var neededFileNames: Set<String> { compaction.neededFileNames }

    /// A Boolean value that indicates whether a checkpoint waits for its frame.
    package var hasPendingCheckpoint: Bool { compaction.pending != nil }

    /// Returns the files and the position of a snapshot, and keeps all files until ``endSnapshot()``.
    ///
    /// The snapshot has all durable changes. The store can be closed only after the end of the snapshot.
    package mutating func beginSnapshot(now: Int64) throws(StoreError) -> SnapshotPlan {
        try checkOpen()
        state.advance(to: now)
        return compaction.beginSnapshot(end: durableEnd, position)
    }

    package mutating func endSnapshot() { compaction.endSnapshot() }

    /// Requests a compaction and returns its number.
    package mutating func requestCompaction() throws(StoreError) -> UInt64 {
        try checkOpen()
        return compaction.requestCompaction()
    }

    /// The number of the last compaction that ended.
    package var completedCompaction: UInt64 { compaction.completedPass }
}
