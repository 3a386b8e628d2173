internal import ReliabilityCore

/// The running relays of a queue value in this process.
final class RunningRelays: Sendable {
    private struct State {
        var next: UInt64 = 0
        /// The actions that wake the relays, in the order in which the relays began, so that simulations are
        /// deterministic.
        var wakeActions: [(number: UInt64, wake: @Sendable () -> Void)] = []
    }
    private let state = Lock(State())

    /// Adds a relay.
    ///
    /// - Parameter wake: Wakes the relay.
    /// - Returns: The number that removes the relay.
    func add(_ wake: @escaping @Sendable () -> Void) -> UInt64 {
        state.withLock { state in
            state.next += 1
            state.wakeActions.append((state.next, wake))
            return state.next
        }
    }

    func remove(_ number: UInt64) { state.withLock { $0.wakeActions.removeAll { $0.number == number } } }

    func wake() {
        for relay in state.withLock({ $0.wakeActions }) { relay.wake() }
    }
}
