internal import ReliabilityCore

/// Counts the operations that still run after their callers abandoned them, and limits their number.
///
/// An abandoned operation holds memory, and may hold a connection or a thread. Share a single instance among all calls
/// to a dependency, and monitor ``count``. A count that only grows indicates a dependency or a driver that never
/// returns.
public final class AbandonedOperations: Sendable {
    private struct State {
        var count = 0
        var peak = 0
    }

    /// The number of abandoned operations at which further calls are rejected.
    public let maxCount: Int
    private let state = Lock(State())

    /// Creates a counter at zero.
    ///
    /// Calls that already run when the limit is reached may still be abandoned. ``count`` can therefore exceed
    /// `maxCount` by the number of running calls.
    ///
    /// - Parameter maxCount: The number of abandoned operations at which further calls are rejected.
    /// - Precondition: `maxCount` is at least 1.
    public init(maxCount: Int) {
        requireValid(maxCount >= 1, "maxCount of abandoned operations must be at least 1 (is \(maxCount))")
        self.maxCount = maxCount
    }

    /// The current number of abandoned operations.
    public var count: Int { state.withLock { $0.count } }

    /// The highest number of abandoned operations so far.
    public var peakCount: Int { state.withLock { $0.peak } }

    func add() {
        state.withLock { state in
            state.count += 1
            state.peak = max(state.peak, state.count)
        }
    }

    func remove() { state.withLock { $0.count -= 1 } }
}
