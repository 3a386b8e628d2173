// A running call counts as soon as it is slow, so a dependency that hangs opens the breaker before its calls end.
extension TripCondition {
    /// Opens the breaker when a share of the calls in a sliding window is slow.
    ///
    /// ```swift
    /// let condition = TripCondition.slowCallRate(
    ///     0.8,
    ///     slowerThan: .seconds(2),
    ///     minCalls: 10,
    ///     within: .seconds(30)
    /// )
    /// let breaker = Breaker(Breaker.Configuration(tripCondition: condition.or(.standard)))
    /// ```
    ///
    /// A running call counts as slow when it has run longer than the threshold, at the latest after another tenth of
    /// the threshold. The next call then opens the breaker. A running slow call counts in addition to the calls of the
    /// window and counts again as long as it runs. A call enters the window once, when the call ends. A call that the
    /// caller cancelled or that another policy rejected never enters the window.
    ///
    /// All rules of a condition have the same threshold. The window slides in tenths of its length. A probe that is
    /// slower than the threshold is a failed probe.
    ///
    /// - Parameters:
    ///   - rate: The share of slow calls that opens the breaker. Above 0 and at most 1.
    ///   - threshold: The duration above which a call is slow. Must be positive.
    ///   - minCalls: The number of calls below which the breaker stays closed. At least 1.
    ///   - window: The age up to which ended calls count. Must be positive.
    /// - Returns: The condition.
    public static func slowCallRate(
        _ rate: Double,
        slowerThan threshold: Duration,
        minCalls: Int,
        within window: Duration
    ) -> TripCondition {
        slow(calls: Rate(share: rate, minCalls: minCalls, window: .time(window)), slowerThan: threshold)
    }

    /// Opens the breaker when a share of the last calls is slow.
    ///
    /// Running calls count as in ``slowCallRate(_:slowerThan:minCalls:within:)``.
    ///
    /// - Parameters:
    ///   - rate: The share of slow calls that opens the breaker. Above 0 and at most 1.
    ///   - threshold: The duration above which a call is slow. Must be positive.
    ///   - minCalls: The number of calls below which the breaker stays closed. At least 1 and at most `count`.
    ///   - count: The number of ended calls that count, from 1 to 10,000.
    /// - Returns: The condition.
    public static func slowCallRate(
        _ rate: Double,
        slowerThan threshold: Duration,
        minCalls: Int,
        ofLast count: Int
    ) -> TripCondition {
        slow(calls: Rate(share: rate, minCalls: minCalls, window: .calls(count)), slowerThan: threshold)
    }

    /// Opens the breaker when a share of the calls in a sliding window is slow or has failed.
    ///
    /// A call that is slow and fails counts once. Running calls count as in
    /// ``slowCallRate(_:slowerThan:minCalls:within:)``.
    ///
    /// - Parameters:
    ///   - rate: The share of slow or failed calls that opens the breaker. Above 0 and at most 1.
    ///   - threshold: The duration above which a call is slow. Must be positive.
    ///   - minCalls: The number of calls below which the breaker stays closed. At least 1.
    ///   - window: The age up to which ended calls count. Must be positive.
    /// - Returns: The condition.
    public static func slowOrFailedRate(
        _ rate: Double,
        slowerThan threshold: Duration,
        minCalls: Int,
        within window: Duration
    ) -> TripCondition {
        slow(callsAndFailures: Rate(share: rate, minCalls: minCalls, window: .time(window)), slowerThan: threshold)
    }

    /// Opens the breaker when a share of the last calls is slow or has failed.
    ///
    /// A call that is slow and fails counts once. Running calls count as in
    /// ``slowCallRate(_:slowerThan:minCalls:within:)``.
    ///
    /// - Parameters:
    ///   - rate: The share of slow or failed calls that opens the breaker. Above 0 and at most 1.
    ///   - threshold: The duration above which a call is slow. Must be positive.
    ///   - minCalls: The number of calls below which the breaker stays closed. At least 1 and at most `count`.
    ///   - count: The number of ended calls that count, from 1 to 10,000.
    /// - Returns: The condition.
    public static func slowOrFailedRate(
        _ rate: Double,
        slowerThan threshold: Duration,
        minCalls: Int,
        ofLast count: Int
    ) -> TripCondition {
        slow(callsAndFailures: Rate(share: rate, minCalls: minCalls, window: .calls(count)), slowerThan: threshold)
    }
}
