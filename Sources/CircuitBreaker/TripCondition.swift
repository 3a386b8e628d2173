public import ReliabilityCore

/// The condition that opens a closed circuit breaker.
///
/// Only a failure opens the breaker. A call does not count if the caller cancelled the call or if the call was rejected
/// before it reached the dependency. ``Breaker`` describes the calls that a deadline ended.
///
/// A single rule does not suit every traffic. A busy dependency always has enough failures for ``failures(_:within:)``.
/// A quiet dependency never has enough calls for ``failureRate(_:minCalls:within:)``. ``standard`` combines a rate with
/// ``consecutiveFailures(_:lasting:)`` and suits both.
///
/// The values are plain and can come from a file. ``validate()`` reports every problem.
public struct TripCondition: Hashable, Sendable {
    struct Failures: Hashable, Sendable {
        let count: Int
        let window: Duration
    }

    struct FailureRate: Hashable, Sendable {
        let share: Double
        let minCalls: Int
        let window: Duration
    }

    struct ConsecutiveFailures: Hashable, Sendable {
        let count: Int
        let duration: Duration
    }

    /// The rule for consecutive failures, or `nil` if there is none.
    private(set) var consecutiveFailures: ConsecutiveFailures?
    /// The rule for failures in a window, or `nil` if there is none.
    private(set) var failures: Failures?
    /// The rule for the failure rate, or `nil` if there is none.
    private(set) var failureRate: FailureRate?
    /// A Boolean value that indicates whether two rules of the same kind were combined.
    private var hasDuplicate = false

    private init(
        consecutiveFailures: ConsecutiveFailures? = nil,
        failures: Failures? = nil,
        failureRate: FailureRate? = nil
    ) {
        self.consecutiveFailures = consecutiveFailures
        self.failures = failures
        self.failureRate = failureRate
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
        TripCondition(consecutiveFailures: ConsecutiveFailures(count: count, duration: duration))
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
        TripCondition(failures: Failures(count: count, window: window))
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
    public static func failureRate(
        _ rate: Double,
        minCalls: Int,
        within window: Duration
    ) -> TripCondition {
        TripCondition(failureRate: FailureRate(share: rate, minCalls: minCalls, window: window))
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
        var both = TripCondition(
            consecutiveFailures: consecutiveFailures ?? other.consecutiveFailures,
            failures: failures ?? other.failures,
            failureRate: failureRate ?? other.failureRate
        )
        both.hasDuplicate =
            hasDuplicate || other.hasDuplicate
            || consecutiveFailures != nil && other.consecutiveFailures != nil
            || failures != nil && other.failures != nil
            || failureRate != nil && other.failureRate != nil
        return both
    }

    /// Checks every value.
    ///
    /// - Throws: `ConfigurationError` with every problem.
    public func validate() throws(ConfigurationError) {
        var problems = ConfigurationProblems("trip condition")
        problems.require(!hasDuplicate, "a breaker has at most one rule of each kind (two of one kind were combined)")
        if let consecutiveFailures {
            let (count, duration) = (consecutiveFailures.count, consecutiveFailures.duration)
            problems.require(count >= 1, "the number of consecutive failures must be at least 1 (is \(count))")
            problems.require(
                duration >= .zero,
                "the duration of consecutive failures must not be negative (is \(duration))"
            )
        }
        if let failures {
            let (count, window) = (failures.count, failures.window)
            problems.require(
                (1...10_000).contains(count),
                "the number of failures must be from 1 to 10,000 (is \(count))"
            )
            problems.require(window > .zero, "the window of failures must be positive (is \(window))")
        }
        if let failureRate {
            let (share, calls, window) = (failureRate.share, failureRate.minCalls, failureRate.window)
            problems.require(share > 0 && share <= 1, "the failure rate must be above 0 and at most 1 (is \(share))")
            problems.require(calls >= 1, "minCalls of the failure rate must be at least 1 (is \(calls))")
            problems.require(window > .zero, "the window of the failure rate must be positive (is \(window))")
        }
        try problems.throwIfAny()
    }
}

extension TripCondition {
    /// A short description of the rules.
    var summary: String {
        var rules: [String] = []
        if let failureRate {
            rules.append(
                "a failure rate of \(failureRate.share) over at least \(failureRate.minCalls) calls in \(failureRate.window.text)"
            )
        }
        if let failures { rules.append("\(failures.count) failures in \(failures.window.text)") }
        if let consecutiveFailures {
            let (count, duration) = (consecutiveFailures.count, consecutiveFailures.duration)
            let failures = count == 1 ? "1 failure" : "\(count) failures in a row"
            rules.append(duration > .zero ? "\(failures) that last \(duration.text)" : failures)
        }
        return rules.joined(separator: " or ")
    }

    /// The smallest number of failures that opens the breaker if no call succeeds.
    var leastFailures: Int {
        [consecutiveFailures?.count, failures?.count, failureRate?.minCalls].compactMap(\.self).min() ?? .max
    }

    /// The traffic at which the rules open the breaker, as sentences without a full stop.
    var traffic: [String] {
        var sentences: [String] = []
        if let failures, failures.count > 1 {
            // With 1 % of errors, this number of calls contains the failures.
            let calls = Int64(failures.count).saturatingMultiply(100)
            let callRate = callRateText(calls, in: failures.window)
            sentences.append("opens at 1 % of errors from \(callRate) on, however many succeed")
        }
        if let failureRate, failureRate.minCalls > 1 {
            let callRate = callRateText(Int64(failureRate.minCalls), in: failureRate.window)
            var sentence = "its failure rate decides from \(callRate) on"
            if consecutiveFailures != nil {
                sentence += ", its failures in a row at any traffic"
            } else if failures == nil {
                sentence += "; below that it never opens"
            }
            sentences.append(sentence)
        }
        return sentences
    }

    /// Returns a readable call rate for a number of calls in a window, rounded up.
    private func callRateText(_ calls: Int64, in window: Duration) -> String {
        let nanoseconds = max(1, window.saturatingNanoseconds)
        // Rounded up to whole calls a second.
        let perSecond = (calls.saturatingMultiply(1_000_000_000).saturatingSubtract(1)) / nanoseconds + 1
        if perSecond > 1 { return "\(perSecond) calls a second" }
        return "one call in \(Duration.nanoseconds(nanoseconds / calls).text)"
    }
}
