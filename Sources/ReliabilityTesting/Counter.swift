internal import ReliabilityCore

/// A counter that many tasks may use at once.
public final class Counter: Sendable {
    private let count = Lock((now: 0, highest: 0))

    /// Creates a counter at zero.
    public init() {}

    /// The present count.
    public var value: Int { count.withLock { $0.now } }

    /// The highest count there has been: how many were inside at once, for a test that counts entries and exits.
    public var highest: Int { count.withLock { $0.highest } }

    /// Adds one.
    ///
    /// - Returns: The new count.
    @discardableResult
    public func increment() -> Int {
        count.withLock { count in
            count.now += 1
            count.highest = max(count.highest, count.now)
            return count.now
        }
    }

    /// Takes one away.
    public func decrement() { count.withLock { $0.now -= 1 } }
}
