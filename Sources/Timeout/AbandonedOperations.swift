internal import ReliabilityCore

/// Counts the operations that still run although their callers have walked away from them, and caps them.
///
/// Each holds memory, and perhaps a connection or a thread. Share one among all calls to one dependency, and look at
/// ``count``: one that only grows is a dependency, or a driver, that never comes back.
public final class AbandonedOperations: Sendable {
    private struct State {
        var count = 0
        var highest = 0
    }

    /// With so many abandoned operations, further calls are refused.
    public let limit: Int
    private let state = Lock(State())

    /// Creates a gauge at zero.
    ///
    /// - Parameter limit: With so many abandoned operations, further calls are refused. Calls that are under way by then
    ///   may still be abandoned, so ``count`` can go past it by as many as these are.
    /// - Precondition: `limit` is at least 1.
    public init(limit: Int) {
        requireValid(limit >= 1, "the limit of abandoned operations must be at least 1 (is \(limit))")
        self.limit = limit
    }

    /// How many there are now.
    public var count: Int { state.withLock { $0.count } }

    /// The most that there have been at once.
    public var highest: Int { state.withLock { $0.highest } }

    func add() {
        state.withLock { state in
            state.count += 1
            state.highest = max(state.highest, state.count)
        }
    }

    func remove() { state.withLock { $0.count -= 1 } }
}
