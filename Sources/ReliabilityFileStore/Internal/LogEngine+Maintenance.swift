internal import ReliabilityCore
internal import ReliabilityStore

/// A caller that waits for the end of a compaction.
struct CompactionWaiter {
    /// The number of the compaction.
    let compaction: UInt64
    let continuation: CheckedContinuation<StoreError?, Never>
}

/// Requested compactions and snapshots.
extension LogEngine {
    /// Waits for the end of a compaction that begins after the call.
    func compact() async throws(StoreError) {
        try directory.checkProcess()
        let call = withLock {
            lastCompactionCall += 1
            return lastCompactionCall
        }
        let failure = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<StoreError?, Never>) in
                let rejection: StoreError? = withLock {
                    if Task.isCancelled { return .compactionCancelled }
                    do throws(StoreError) {
                        let number = try stateMachine.requestCompaction()
                        compactionWaiters[call] = CompactionWaiter(compaction: number, continuation: continuation)
                    } catch {
                        return error
                    }
                    monitor.signal(Self.maintenanceCondition)
                    return nil
                }
                if let rejection { continuation.resume(returning: rejection) }
            }
        } onCancel: {
            let waiter = withLock { compactionWaiters.removeValue(forKey: call) }
            waiter?.continuation.resume(returning: .compactionCancelled)
        }
        if let failure { throw failure }
    }

    /// Removes the callers whose compaction has ended, or all callers if the store has ended.
    ///
    /// The caller must hold the lock of `monitor`, and calls the returned closures after the lock.
    func takeEndedCompactions() -> [@Sendable () -> Void] {
        if compactionWaiters.isEmpty { return [] }
        var ended: [@Sendable () -> Void] = []
        for (call, waiter) in compactionWaiters {
            let hasEnded = waiter.compaction <= stateMachine.completedCompaction
            guard hasEnded || stateMachine.finalError != nil else { continue }
            let failure = hasEnded ? stateMachine.compactionFailure : stateMachine.finalError
            compactionWaiters[call] = nil
            ended.append { waiter.continuation.resume(returning: failure) }
        }
        return ended
    }

    /// Writes a snapshot and blocks the thread.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - isCancelled: A Boolean value that indicates whether the caller has cancelled the snapshot.
    /// - Throws: `StoreError`.
    func writeSnapshot(to path: String, isCancelled: () -> Bool) throws(StoreError) {
        try directory.checkProcess()
        let now = clock.now
        let plan = try withLock { () throws(StoreError) in try stateMachine.beginSnapshot(now: now) }
        defer {
            withLock {
                stateMachine.endSnapshot()
                monitor.signal(Self.maintenanceCondition)
            }
        }
        try SnapshotWriter(directory).write(plan, to: path) { () throws(StoreError) in
            if isCancelled() { throw .snapshotCancelled }
            try withLock { () throws(StoreError) in try stateMachine.checkOpen() }
        }
    }
}

extension StoreError {
    static var snapshotCancelled: StoreError {
        StoreError(.cancelled, "the task was cancelled before the snapshot was complete")
    }

    fileprivate static var compactionCancelled: StoreError {
        StoreError(.cancelled, "the task was cancelled before the compaction ended; the compaction continues")
    }
}
