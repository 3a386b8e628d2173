internal import ReliabilityCore

/// The deliveries of one call of ``OutboxRelay/run()``.
final class RelaySession: Sendable {
    private struct State {
        var isCancelled = false
        /// The number of deliveries that have not ended.
        var deliveries = 0
        /// The continuation of the call while the call waits for the last delivery.
        var waiting: CheckedContinuation<Void, Never>?
    }
    private let state = Lock(State())

    /// A Boolean value that indicates whether the call was cancelled.
    var isCancelled: Bool { state.withLock { $0.isCancelled } }

    /// Records the cancellation of the call.
    func cancel() { state.withLock { $0.isCancelled = true } }

    /// Records the start of a delivery.
    func beginDelivery() { state.withLock { $0.deliveries += 1 } }

    /// Records the end of a delivery.
    func endDelivery() {
        let waiting = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.deliveries -= 1
            return state.deliveries == 0 ? state.waiting.take() : nil
        }
        waiting?.resume()
    }

    /// Waits until every delivery has ended.
    ///
    /// The cancellation of the task does not end the wait. No delivery begins after the call of this method.
    func waitForDeliveries() async {
        await withCheckedContinuation { continuation in
            let isEmpty = state.withLock { state in
                if state.deliveries > 0 { state.waiting = continuation }
                return state.deliveries == 0
            }
            if isEmpty { continuation.resume() }
        }
    }
}
