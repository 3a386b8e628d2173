internal import ReliabilityCore
internal import ReliabilityStore

/// How many calls are allowed in how much time.
///
/// The figures are plain values, which can come from a file. ``problems()`` says what is wrong with them; a ``Limiter``
/// takes a limit without problems only.
///
/// ```swift
/// let limit = RateLimit.fixedWindow(file.logins, per: .seconds(file.seconds))
/// for problem in limit.problems() { log(problem) }    // empty: a limiter takes it
/// ```
public struct RateLimit: Hashable, Sendable {
    enum Rule: Hashable, Sendable {
        case gcra(interval: Int64)
        case fixedWindow(length: Int64)
    }

    let rule: Rule
    private let found: [String]

    /// The most that can be allowed at once: the burst, or the count of a whole window.
    public let capacity: Int

    /// Five in a window of 15 minutes.
    public static let fivePerQuarterHour = RateLimit.fixedWindow(5, per: .seconds(15 * 60))

    /// Three in a window of 15 minutes.
    public static let threePerQuarterHour = RateLimit.fixedWindow(3, per: .seconds(15 * 60))

    /// Evenly spread calls, by the generic cell rate algorithm (ITU-T I.371).
    ///
    /// `burst` calls are allowed at once, and one more each `period / count`, rounded up to a whole nanosecond. In any
    /// time t, wherever it begins, at most `burst + t · count / period` are allowed.
    ///
    /// It has a problem if `count` or `burst` is less than 1, `period` is shorter than `count` nanoseconds, or it takes more
    /// than 100 years to allow a whole burst again.
    ///
    /// - Parameters:
    ///   - count: How many in the long run.
    ///   - period: In how much time.
    ///   - burst: How many at once, or `nil` for `count`.
    /// - Returns: The limit.
    public static func gcra(_ count: Int, per period: Duration, burst: Int? = nil) -> RateLimit {
        let burst = burst ?? count
        let nanoseconds = period.saturatingNanoseconds
        var problems: [String] = []
        if count < 1 { problems.append("the count of a rate limit must be at least 1 (is \(count))") }
        if burst < 1 { problems.append("the burst of a rate limit must be at least 1 (is \(burst))") }
        if nanoseconds < max(1, Int64(count)) {
            let least = "must be positive, and at least a nanosecond for each of its \(count) calls"
            problems.append("the period of a rate limit \(least) (is \(period))")
        }
        // Rounded up: never more than was configured.
        let interval = (max(1, nanoseconds) - 1) / Int64(max(1, count)) + 1
        if interval.saturatingMultiply(Int64(max(1, burst))) > 36_525 * 86_400_000_000_000 {
            problems.append(
                "a burst of \(burst) at \(count) per \(period) takes more than 100 years to be allowed again"
            )
        }
        return RateLimit(rule: .gcra(interval: interval), found: problems, capacity: burst)
    }

    /// Calls counted in windows; a window opens with the first call after the last one ended.
    ///
    /// At most `count` are allowed in a window, so at most twice `count` in any time of its length: at the end of one
    /// window and the beginning of the next. It has a problem if `count` is less than 1 or `period` is not positive.
    ///
    /// - Parameters:
    ///   - count: How many in a window.
    ///   - period: The length of a window.
    /// - Returns: The limit.
    public static func fixedWindow(_ count: Int, per period: Duration) -> RateLimit {
        var problems: [String] = []
        if count < 1 { problems.append("the count of a rate limit must be at least 1 (is \(count))") }
        if period <= .zero { problems.append("the period of a rate limit must be positive (is \(period))") }
        return RateLimit(
            rule: .fixedWindow(length: period.saturatingNanoseconds),
            found: problems,
            capacity: count
        )
    }

    /// What is wrong with the figures, a sentence each; empty when they can be used.
    ///
    /// - Returns: All problems, each with the figure.
    public func problems() -> [String] { found }

    func update(cost: Int) -> AtomicUpdate {
        switch rule {
        case .gcra(let interval): .gcra(interval: .nanoseconds(interval), burst: capacity, cost: cost)
        case .fixedWindow(let length): .fixedWindow(length: .nanoseconds(length), limit: capacity, cost: cost)
        }
    }

    /// The figures in a phrase.
    var summary: String {
        switch rule {
        case .gcra(let interval): "one call each \(Duration.nanoseconds(interval).text), \(capacity) at once"
        case .fixedWindow(let length): "\(capacity) calls in \(Duration.nanoseconds(length).text)"
        }
    }
}
