internal import ReliabilityCore
internal import ReliabilityStore

/// A copy of a store's content at the time of a read-only opening.
final class StoreCopy: Sendable {
    private let state: Lock<StoreStateMachine?>
    private let clock: StoreClock
    private let empty: StoreStateMachine

    init(_ recovered: RecoveredState, _ time: TimeSource) {
        state = Lock(recovered.state)
        empty = recovered.empty
        clock = StoreClock(startingAt: recovered.start, time)
    }

    /// Answers a read and rejects all other requests.
    func submit<Result>(_ request: LogRequest<Result>) throws(StoreError) -> Result {
        let now = clock.now
        return try state.withLock { state throws(StoreError) in
            guard var content = state else { throw .closed }
            if !request.isRead {
                throw StoreError(.readOnly, "the store was opened in mode readOnly; open it in mode readWrite to write")
            }
            // `state` is empty during the change, so `content` has the only reference and is not copied.
            state = nil
            defer { state = content }
            content.advance(to: now)
            return try request.plan(&content).result
        }
    }

    var usage: StoreUsage { state.withLock { ($0 ?? empty).usage } }

    /// Frees the content.
    func close() { state.withLock { $0 = nil } }
}
