public import ReliabilityCore

/// The state and the counters of a bulkhead at one moment.
public struct BulkheadSnapshot: Hashable, Sendable {
    /// The number of places.
    public let limit: Int
    /// The number of calls that run, which can exceed ``limit`` after the limit has fallen.
    public let running: Int
    /// The number of waiting calls.
    public let waiting: Int
    private let waitingByPriority: [Int]
    private let counters: BulkheadCounters

    init<Waiter>(_ state: BulkheadStateMachine<Waiter>) {
        limit = state.limit
        running = state.running
        waiting = state.waiting
        waitingByPriority = state.waitingByPriority
        counters = state.counters
    }

    /// The share of the places that are in use, from 0 to 1, or more after the limit has fallen.
    public var utilization: Double { Double(running) / Double(limit) }
    /// The number of calls that were admitted since the creation.
    public var admitted: UInt64 { counters.admitted }
    /// The number of calls that were admitted after a wait.
    public var admittedAfterWait: UInt64 { counters.admittedAfterWait }
    /// The total wait of the admitted calls.
    public var totalWait: Duration { .nanoseconds(counters.totalWait) }
    /// The longest wait of an admitted call.
    public var longestWait: Duration { .nanoseconds(counters.longestWait) }

    /// Returns the number of waiting calls of a priority.
    ///
    /// - Parameter priority: The priority.
    /// - Returns: The number.
    public func waiting(_ priority: CallPriority) -> Int { waitingByPriority[priority.rawValue] }

    /// Returns the number of rejected calls since the creation.
    ///
    /// - Parameters:
    ///   - reason: The reason, or `nil` for every reason. Defaults to `nil`.
    ///   - priority: The priority, or `nil` for every priority. Defaults to `nil`.
    /// - Returns: The number.
    public func rejected(_ reason: BulkheadError.Reason? = nil, _ priority: CallPriority? = nil) -> UInt64 {
        counters.rejected(reason, priority)
    }
}
