internal import ReliabilityCore

/// The relays of a queue that run in this process, for whoever sends a message to wake.
final class RunningRelays: Sendable {
    private struct State {
        var next: UInt64 = 0
        var wake: [UInt64: @Sendable () -> Void] = [:]
    }
    private let state = Lock(State())

    /// Adds a relay.
    ///
    /// - Parameter wake: Wakes it.
    /// - Returns: A number to remove it with.
    func add(_ wake: @escaping @Sendable () -> Void) -> UInt64 {
        state.withLock { state in
            state.next += 1
            state.wake[state.next] = wake
            return state.next
        }
    }

    func remove(_ number: UInt64) { state.withLock { $0.wake[number] = nil } }

    func wake() {
        let relays = state.withLock { Array($0.wake.values) }
        for wake in relays { wake() }
    }
}
