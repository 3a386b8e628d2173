internal import ReliabilityCore
internal import ReliabilityStore

/// How many calls are allowed in how much time.
public struct RateLimit: Hashable, Sendable {
    enum Rule: Hashable, Sendable {
        case gcra(interval: Int64)
        case fixedWindow(length: Int64)
    }

    let rule: Rule

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
    /// - Parameters:
    ///   - count: How many in the long run.
    ///   - period: In how much time.
    ///   - burst: How many at once; `count` when it is nil.
    /// - Returns: The limit.
    /// - Precondition: `count` and `burst` are at least 1, `period` is positive and at least `count` nanoseconds, and it
    ///   takes at most 100 years to allow a whole burst again.
    public static func gcra(_ count: Int, per period: Duration, burst: Int? = nil) -> RateLimit {
        let burst = burst ?? count
        precondition(count >= 1, "the count of a rate limit must be at least 1 (is \(count))")
        precondition(burst >= 1, "the burst of a rate limit must be at least 1 (is \(burst))")
        let nanoseconds = period.saturatingNanoseconds
        precondition(
            nanoseconds >= Int64(count),
            "the period of a rate limit must be at least a nanosecond for each of its \(count) calls (is \(period))"
        )
        // Rounded up: never more than was configured.
        let interval = (nanoseconds - 1) / Int64(count) + 1
        let refill = interval.saturatingMultiply(Int64(burst))
        precondition(
            refill <= 36_525 * 86_400_000_000_000,
            "a burst of \(burst) at \(count) per \(period) takes more than 100 years to be allowed again"
        )
        return RateLimit(rule: .gcra(interval: interval), capacity: burst)
    }

    /// Calls counted in windows; a window opens with the first call after the last one ended.
    ///
    /// At most `count` are allowed in a window, so at most twice `count` in any time of its length: at the end of one
    /// window and the beginning of the next.
    ///
    /// - Parameters:
    ///   - count: How many in a window.
    ///   - period: The length of a window.
    /// - Returns: The limit.
    /// - Precondition: `count` is at least 1 and `period` is positive.
    public static func fixedWindow(_ count: Int, per period: Duration) -> RateLimit {
        precondition(count >= 1, "the count of a rate limit must be at least 1 (is \(count))")
        precondition(period > .zero, "the period of a rate limit must be positive (is \(period))")
        return RateLimit(rule: .fixedWindow(length: period.saturatingNanoseconds), capacity: count)
    }

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
