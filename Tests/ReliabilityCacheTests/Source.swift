import ReliabilityCore
import TestSupport

/// The source of a cache's values, which a test scripts.
final class Source: Sendable {
    private struct State {
        var value = 1
        var loads = 0
        var error: (any Error)?
        var gate: TaskGate?
        var stale: [Int?] = []
    }

    private let state = Lock(State())

    /// The value of every key.
    var value: Int {
        get { state.withLock { $0.value } }
        set { state.withLock { $0.value = newValue } }
    }

    /// The error of every load, or `nil`.
    var error: (any Error)? {
        get { state.withLock { $0.error } }
        set { state.withLock { $0.error = newValue } }
    }

    /// The gate at which every load waits after it has read the value, or `nil`.
    var gate: TaskGate? {
        get { state.withLock { $0.gate } }
        set { state.withLock { $0.gate = newValue } }
    }

    /// The number of loads.
    var loads: Int { state.withLock { $0.loads } }
    /// The stale values that the loads received.
    var stale: [Int?] { state.withLock { $0.stale } }

    /// Loads the value.
    func load(stale: Int? = nil) async throws -> Int {
        let (value, gate) = state.withLock { state in
            state.loads += 1
            state.stale.append(stale)
            return (state.value, state.gate)
        }
        await gate?.pass()
        if let error { throw error }
        return value
    }
}
