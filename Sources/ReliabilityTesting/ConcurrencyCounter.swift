internal import ReliabilityCore

/// A counter for concurrent use that records its highest count.
///
/// A test that increments the counter on entry and decrements the counter on exit measures concurrency: ``peak`` is the
/// highest number of tasks that were inside simultaneously.
public final class ConcurrencyCounter: Sendable {
    private let count = Lock((now: 0, peak: 0))

    /// Creates a counter at zero.
    public init() {}

    /// The current count.
    public var value: Int { count.withLock { $0.now } }

    /// The highest count so far.
    public var peak: Int { count.withLock { $0.peak } }

    /// Adds 1.
    ///
    /// - Returns: The new count.
    @discardableResult
    public func increment() -> Int {
        count.withLock { count in
            count.now += 1
            count.peak = max(count.peak, count.now)
            return count.now
        }
    }

    /// Subtracts 1.
    public func decrement() { count.withLock { $0.now -= 1 } }
}
