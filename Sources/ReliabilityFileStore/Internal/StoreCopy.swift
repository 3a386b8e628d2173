internal import ReliabilityCore
internal import ReliabilityStore

/// The content of a store as it was when it was read: what a read-only store answers from.
final class StoreCopy: Sendable {
    private let state: Lock<StoreState?>
    private let clock: StoreClock
    private let empty: StoreState

    init(_ recovered: RecoveredState, _ time: TimeSource) {
        state = Lock(recovered.state)
        empty = recovered.empty
        clock = StoreClock(startingAt: recovered.start, time)
    }

    /// Answers a read, and rejects everything else.
    func submit<Result>(_ request: LogRequest<Result>) throws(StoreError) -> Result {
        let now = clock.now
        return try state.withLock { state throws(StoreError) in
            guard var content = state else { throw .closed }
            if !request.isRead { throw StoreError(.readOnly, "the store was opened to be read only") }
            // Out of its place meanwhile, so that it is changed there and not copied.
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
