internal import ReliabilityCore

/// When a closed circuit breaker opens.
///
/// Only failures open it. A call that the caller has cancelled, or that was rejected before it reached the dependency, does
/// not count; a call that a deadline ended is a failure.
///
/// A rule that counts failures alone does not suit every traffic: ``failures(_:within:)`` opens at a number of failures
/// that a busy dependency always has, and ``failureRate(_:minimumCalls:within:)`` never opens below its minimum of calls.
/// ``standard`` combines a rate with ``consecutiveFailures(_:lasting:)`` and suits both.
///
/// The figures are plain values, which can come from a file: ``problems()`` says what is wrong with them.
public struct BreakerTrip: Hashable, Sendable {
    struct Failures: Hashable, Sendable {
        let count: Int
        let window: Duration
    }

    struct Rate: Hashable, Sendable {
        let share: Double
        let minimumCalls: Int
        let window: Duration
    }

    struct Row: Hashable, Sendable {
        let count: Int
        let time: Duration
    }

    /// How many failures in a row open the breaker, or `nil` for any number.
    private(set) var row: Row?
    /// How many failures in a window open the breaker, or `nil` for any number.
    private(set) var failures: Failures?
    /// The share of failures that opens the breaker, or `nil` for any share.
    private(set) var rate: Rate?
    /// Whether two rules of one kind were combined.
    private var hasDuplicate = false

    private init(row: Row? = nil, failures: Failures? = nil, rate: Rate? = nil) {
        self.row = row
        self.failures = failures
        self.rate = rate
    }

    /// Half of at least 20 calls in 10 seconds, or 10 failures in a row that last a second.
    ///
    /// The rate decides for a dependency with two calls a second or more. The failures in a row open the breaker at any
    /// traffic: they are the only rule for a quiet dependency. They are more than the attempts of one call of a preset, and
    /// a second is longer than a connection that is reset.
    public static let standard = failureRate(0.5, minimumCalls: 20, within: .seconds(10))
        .or(.consecutiveFailures(10, lasting: .seconds(1)))

    /// Three failures in 60 seconds, whatever succeeds between them.
    ///
    /// For a dependency that is called every few seconds at most. With 1 % of errors, five calls a second open the breaker
    /// again and again although the dependency is well.
    public static let threeFailuresInAMinute = failures(3, within: .seconds(60))

    /// Opens after failures with no success between them.
    ///
    /// - Parameters:
    ///   - count: The number of failures; at least 1.
    ///   - time: The least time from the first of these failures to the last; not negative. Defaults to zero. A busy
    ///     dependency has many failures in a row when a connection is reset, which is over in no time.
    /// - Returns: The rule.
    public static func consecutiveFailures(_ count: Int, lasting time: Duration = .zero) -> BreakerTrip {
        BreakerTrip(row: Row(count: count, time: time))
    }

    /// Opens when the last `count` failures all lie within the window, whatever succeeded between them.
    ///
    /// The moment of each of these failures is kept, so the window is exact. For a large number of calls, use
    /// ``failureRate(_:minimumCalls:within:)``.
    ///
    /// - Parameters:
    ///   - count: How many failures; from 1 to 10,000.
    ///   - window: How far back they count, positive; a failure exactly this old does not.
    /// - Returns: The rule.
    public static func failures(_ count: Int, within window: Duration) -> BreakerTrip {
        BreakerTrip(failures: Failures(count: count, window: window))
    }

    /// Opens when a share of the calls of a sliding window has failed.
    ///
    /// The window slides in tenths of its length: it covers the last nine to ten tenths, and nothing older.
    ///
    /// - Parameters:
    ///   - rate: The share of failures that opens it: above 0, at most 1.
    ///   - minimumCalls: With fewer calls in the window it stays closed; at least 1.
    ///   - window: How far back calls count; positive.
    /// - Returns: The rule.
    public static func failureRate(
        _ rate: Double,
        minimumCalls: Int,
        within window: Duration
    ) -> BreakerTrip {
        BreakerTrip(rate: Rate(share: rate, minimumCalls: minimumCalls, window: window))
    }

    /// Opens when this rule or another says so.
    ///
    /// ```swift
    /// let trip = BreakerTrip.failureRate(0.5, minimumCalls: 20, within: .seconds(10)).or(.consecutiveFailures(10))
    /// ```
    ///
    /// - Parameter other: Rules of other kinds than this one has.
    /// - Returns: The rules together.
    public func or(_ other: BreakerTrip) -> BreakerTrip {
        var both = BreakerTrip(
            row: row ?? other.row,
            failures: failures ?? other.failures,
            rate: rate ?? other.rate
        )
        both.hasDuplicate =
            hasDuplicate || other.hasDuplicate
            || row != nil && other.row != nil
            || failures != nil && other.failures != nil
            || rate != nil && other.rate != nil
        return both
    }

    /// What is wrong with the figures, a sentence each; empty when they can be used.
    ///
    /// - Returns: All problems, each with the figure.
    public func problems() -> [String] {
        var problems: [String] = []
        func require(_ isTrue: Bool, _ problem: @autoclosure () -> String) {
            if !isTrue { problems.append(problem()) }
        }
        require(!hasDuplicate, "a breaker has at most one rule of each kind (two of one kind were combined)")
        if let row {
            require(row.count >= 1, "the number of consecutive failures must be at least 1 (is \(row.count))")
            require(row.time >= .zero, "the time of consecutive failures must not be negative (is \(row.time))")
        }
        if let failures {
            let (count, window) = (failures.count, failures.window)
            require((1...10_000).contains(count), "the number of failures must be from 1 to 10,000 (is \(count))")
            require(window > .zero, "the window of failures must be positive (is \(window))")
        }
        if let rate {
            let (share, calls, window) = (rate.share, rate.minimumCalls, rate.window)
            require(share > 0 && share <= 1, "the failure rate must be above 0 and at most 1 (is \(share))")
            require(calls >= 1, "the minimum calls of the failure rate must be at least 1 (is \(calls))")
            require(window > .zero, "the window of the failure rate must be positive (is \(window))")
        }
        return problems
    }
}

extension BreakerTrip {
    /// The figures in a phrase.
    var summary: String {
        var rules: [String] = []
        if let rate {
            rules.append(
                "a failure rate of \(rate.share) over at least \(rate.minimumCalls) calls in \(rate.window.text)"
            )
        }
        if let failures { rules.append("\(failures.count) failures in \(failures.window.text)") }
        if let row {
            let failures = row.count == 1 ? "1 failure" : "\(row.count) failures in a row"
            rules.append(row.time > .zero ? "\(failures) that last \(row.time.text)" : failures)
        }
        return rules.joined(separator: " or ")
    }

    /// The least number of failures that opens the breaker, when no call succeeds.
    var leastFailures: Int {
        [row?.count, failures?.count, rate?.minimumCalls].compactMap(\.self).min() ?? .max
    }

    /// At which traffic the rules open the breaker, as sentences without a full stop.
    var traffic: [String] {
        var sentences: [String] = []
        if let failures, failures.count > 1 {
            // So many calls contain the failures, at one of a hundred.
            let calls = Int64(failures.count).saturatingMultiply(100)
            sentences.append("opens at 1 % of errors from \(pace(calls, in: failures.window)) on, however many succeed")
        }
        if let rate, rate.minimumCalls > 1 {
            let pace = pace(Int64(rate.minimumCalls), in: rate.window)
            var sentence = "its failure rate decides from \(pace) on"
            if row != nil {
                sentence += ", its failures in a row at any traffic"
            } else if failures == nil {
                sentence += "; below that it never opens"
            }
            sentences.append(sentence)
        }
        return sentences
    }

    /// So many calls in a window as a pace for a person, rounded to the next faster one.
    private func pace(_ calls: Int64, in window: Duration) -> String {
        let nanoseconds = max(1, window.saturatingNanoseconds)
        // The whole number of calls a second that is no less.
        let perSecond = (calls.saturatingMultiply(1_000_000_000).saturatingSubtract(1)) / nanoseconds + 1
        if perSecond > 1 { return "\(perSecond) calls a second" }
        return "one call in \(Duration.nanoseconds(nanoseconds / calls).text)"
    }
}
