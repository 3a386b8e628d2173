internal import ReliabilityCore

/// When a closed circuit breaker opens.
///
/// Only failures open it; a call that was cancelled, or refused before it reached the dependency, does not count.
public struct BreakerTrip: Hashable, Sendable {
    enum Rule: Hashable, Sendable {
        case consecutiveFailures(Int)
        case failures(Int, window: Int64)
        case failureRate(Double, minimumCalls: Int, window: Int64)
    }

    let rule: Rule

    /// Three failures in 60 seconds, whatever succeeds between them.
    public static let threeFailuresInAMinute = BreakerTrip.failures(3, within: .seconds(60))

    /// Opens after failures with no success between them.
    ///
    /// - Parameter count: How many.
    /// - Returns: The rule.
    /// - Precondition: `count` is at least 1.
    public static func consecutiveFailures(_ count: Int) -> BreakerTrip {
        precondition(count >= 1, "the number of consecutive failures must be at least 1 (is \(count))")
        return BreakerTrip(rule: .consecutiveFailures(count))
    }

    /// Opens when the last `count` failures all lie within the window, whatever succeeded between them.
    ///
    /// The moment of each of these failures is kept, so the window is exact. For a large number of calls, use
    /// ``failureRate(_:minimumCalls:within:)``.
    ///
    /// - Parameters:
    ///   - count: How many failures.
    ///   - window: How far back they count; a failure exactly this old does not.
    /// - Returns: The rule.
    /// - Precondition: `count` is from 1 to 10,000 and `window` is positive.
    public static func failures(_ count: Int, within window: Duration) -> BreakerTrip {
        precondition((1...10_000).contains(count), "the number of failures must be from 1 to 10,000 (is \(count))")
        precondition(window > .zero, "the window of failures must be positive (is \(window))")
        return BreakerTrip(rule: .failures(count, window: window.saturatingNanoseconds))
    }

    /// Opens when a share of the calls of a sliding window has failed.
    ///
    /// The window slides in tenths of its length: it covers the last nine to ten tenths, and nothing older.
    ///
    /// - Parameters:
    ///   - rate: The share of failures that opens it: above 0, at most 1.
    ///   - minimumCalls: With fewer calls in the window it stays closed.
    ///   - window: How far back calls count.
    /// - Returns: The rule.
    /// - Precondition: `rate` is above 0 and at most 1, `minimumCalls` is at least 1 and `window` is positive.
    public static func failureRate(
        _ rate: Double,
        minimumCalls: Int,
        within window: Duration
    ) -> BreakerTrip {
        precondition(rate > 0 && rate <= 1, "the failure rate must be above 0 and at most 1 (is \(rate))")
        precondition(minimumCalls >= 1, "minimumCalls must be at least 1 (is \(minimumCalls))")
        precondition(window > .zero, "the window of the failure rate must be positive (is \(window))")
        return BreakerTrip(
            rule: .failureRate(rate, minimumCalls: minimumCalls, window: window.saturatingNanoseconds)
        )
    }
}

extension BreakerTrip.Rule {
    /// The figures in a phrase.
    var summary: String {
        switch self {
        case .consecutiveFailures(1): "1 failure"
        case .consecutiveFailures(let count): "\(count) failures in a row"
        case .failures(let count, let window): "\(count) failures in \(Duration.nanoseconds(window).text)"
        case .failureRate(let rate, let minimumCalls, let window):
            "a failure rate of \(rate) over at least \(minimumCalls) calls in \(Duration.nanoseconds(window).text)"
        }
    }
}
