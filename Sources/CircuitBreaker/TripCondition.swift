/// The condition that opens a closed circuit breaker.
///
/// Only a failure or a slow call opens the breaker. A call does not count if the caller cancelled the call or if the
/// call was rejected before it reached the dependency. ``Breaker`` describes the calls that a deadline ended.
///
/// A single rule does not suit every traffic. A busy dependency always has enough failures for ``failures(_:within:)``.
/// A quiet dependency never has enough calls for ``failureRate(_:minCalls:within:)``. ``standard`` combines a rate with
/// ``consecutiveFailures(_:lasting:)`` and suits both. The page <doc:WhichTripRule> compares the rules.
///
/// The values are plain and can come from a file. ``validate()`` reports every problem.
public struct TripCondition: Hashable, Sendable {
    struct Failures: Hashable, Sendable {
        let count: Int
        let window: Duration
    }

    /// A share of the calls in a window.
    struct Rate: Hashable, Sendable {
        let share: Double
        let minCalls: Int
        let window: Window
    }

    /// The calls that a rate counts.
    enum Window: Hashable, Sendable {
        /// The calls that ended within this time.
        case time(Duration)
        /// The last calls, up to this number.
        case calls(Int)
    }

    struct ConsecutiveFailures: Hashable, Sendable {
        let count: Int
        let duration: Duration
    }

    /// The rule for consecutive failures, or `nil` if there is none.
    private(set) var consecutiveFailures: ConsecutiveFailures?
    /// The rule for failures in a window, or `nil` if there is none.
    private(set) var failures: Failures?
    /// The rule for the share of failed calls, or `nil` if there is none.
    private(set) var failureRate: Rate?
    /// The rule for the share of slow calls, or `nil` if there is none.
    private(set) var slowCallRate: Rate?
    /// The rule for the share of calls that are slow or have failed, or `nil` if there is none.
    private(set) var slowOrFailedRate: Rate?
    /// The duration above which a call is slow, or `nil` if no rule counts slow calls.
    private(set) var slowThreshold: Duration?
    /// A Boolean value that indicates whether two rules of the same kind were combined.
    private(set) var hasDuplicate = false
    /// A Boolean value that indicates whether two rules with different durations of slow calls were combined.
    private(set) var hasTwoThresholds = false

    private init() {}

    private init(_ build: (inout TripCondition) -> Void) {
        self.init()
        build(&self)
    }

    /// Half of at least 20 calls in 10 seconds, or 10 consecutive failures over at least one second.
    ///
    /// The rate decides from two calls a second on. The consecutive failures open the breaker at any traffic. A single
    /// call of a preset makes fewer than 10 attempts and cannot open the breaker. A connection reset is shorter than a
    /// second.
    public static let standard = failureRate(0.5, minCalls: 20, within: .seconds(10))
        .or(.consecutiveFailures(10, lasting: .seconds(1)))

    /// Opens the breaker after consecutive failures.
    ///
    /// Set a duration for a busy dependency. The reset of a connection causes many consecutive failures in a short
    /// time.
    ///
    /// - Parameters:
    ///   - count: The number of failures with no success between them. At least 1.
    ///   - duration: The minimum time from the first to the last of these failures. Must not be negative. Defaults to
    ///     zero.
    /// - Returns: The condition.
    public static func consecutiveFailures(_ count: Int, lasting duration: Duration = .zero) -> TripCondition {
        TripCondition { $0.consecutiveFailures = ConsecutiveFailures(count: count, duration: duration) }
    }

    /// Opens the breaker when the last `count` failures all lie within the window, for any number of successes.
    ///
    /// The window is exact because the breaker records the time of each failure. For a large number of calls, use
    /// ``failureRate(_:minCalls:within:)``.
    ///
    /// - Parameters:
    ///   - count: The number of failures from 1 to 10,000.
    ///   - window: The age up to which failures count. A failure of exactly this age does not count. Must be positive.
    /// - Returns: The condition.
    public static func failures(_ count: Int, within window: Duration) -> TripCondition {
        TripCondition { $0.failures = Failures(count: count, window: window) }
    }

    /// Opens the breaker when a share of the calls in a sliding window has failed.
    ///
    /// The window slides in tenths of its length. At any time, the window covers the last nine to ten tenths and
    /// nothing older.
    ///
    /// - Parameters:
    ///   - rate: The share of failed calls that opens the breaker. Above 0 and at most 1.
    ///   - minCalls: The number of calls in the window below which the breaker stays closed. At least 1.
    ///   - window: The age up to which calls count. Must be positive.
    /// - Returns: The condition.
    public static func failureRate(_ rate: Double, minCalls: Int, within window: Duration) -> TripCondition {
        TripCondition { $0.failureRate = Rate(share: rate, minCalls: minCalls, window: .time(window)) }
    }

    /// Opens the breaker when a share of the last calls has failed.
    ///
    /// A call of any age counts. For a dependency without calls at night, use
    /// ``failureRate(_:minCalls:within:)``.
    ///
    /// - Parameters:
    ///   - rate: The share of failed calls that opens the breaker. Above 0 and at most 1.
    ///   - minCalls: The number of calls below which the breaker stays closed. At least 1 and at most `count`.
    ///   - count: The number of calls that count, from 1 to 10,000.
    /// - Returns: The condition.
    public static func failureRate(_ rate: Double, minCalls: Int, ofLast count: Int) -> TripCondition {
        TripCondition { $0.failureRate = Rate(share: rate, minCalls: minCalls, window: .calls(count)) }
    }

    /// Combines two conditions so that the breaker opens when either condition is met.
    ///
    /// ```swift
    /// let condition = TripCondition.failureRate(0.5, minCalls: 20, within: .seconds(10)).or(.consecutiveFailures(10))
    /// let breaker = Breaker(Breaker.Configuration(tripCondition: condition))
    /// ```
    ///
    /// - Parameter other: A condition with other kinds of rules. ``validate()`` rejects two rules of the same kind.
    /// - Returns: The combined condition.
    public func or(_ other: TripCondition) -> TripCondition {
        var both = self
        both.hasDuplicate =
            hasDuplicate || other.hasDuplicate
            || consecutiveFailures != nil && other.consecutiveFailures != nil
            || failures != nil && other.failures != nil
            || failureRate != nil && other.failureRate != nil
            || slowCallRate != nil && other.slowCallRate != nil
            || slowOrFailedRate != nil && other.slowOrFailedRate != nil
        both.consecutiveFailures = consecutiveFailures ?? other.consecutiveFailures
        both.failures = failures ?? other.failures
        both.failureRate = failureRate ?? other.failureRate
        both.slowCallRate = slowCallRate ?? other.slowCallRate
        both.slowOrFailedRate = slowOrFailedRate ?? other.slowOrFailedRate
        both.slowThreshold = slowThreshold ?? other.slowThreshold
        both.hasTwoThresholds =
            hasTwoThresholds || other.hasTwoThresholds
            || slowThreshold != nil && other.slowThreshold != nil && slowThreshold != other.slowThreshold
        return both
    }

    /// Creates a condition with one rule for slow calls.
    static func slow(
        calls: Rate? = nil,
        callsAndFailures: Rate? = nil,
        slowerThan threshold: Duration
    ) -> TripCondition {
        TripCondition {
            $0.slowCallRate = calls
            $0.slowOrFailedRate = callsAndFailures
            $0.slowThreshold = threshold
        }
    }
}
