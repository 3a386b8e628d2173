internal import ReliabilityCore

/// How late an answer must be before another attempt is started beside the first.
public struct HedgeDelay: Hashable, Sendable {
    struct Quantile: Hashable {
        let quantile: Double
        let initial: Int64
        let minimumCalls: Int
        let window: Int64
    }

    enum Kind: Hashable {
        case fixed(Int64)
        case quantile(Quantile)
    }

    let kind: Kind

    /// The same delay for every call.
    ///
    /// - Parameter delay: The delay.
    /// - Returns: The rule.
    /// - Precondition: `delay` is positive.
    public static func fixed(_ delay: Duration) -> HedgeDelay {
        requireValid(delay > .zero, "a hedge's delay must be positive (is \(delay))")
        return HedgeDelay(kind: .fixed(delay.saturatingNanoseconds))
    }

    /// As long as this share of the recent calls took: with 0.95, one call in twenty is hedged.
    ///
    /// Only the first attempts of calls are measured. One that was cancelled because a hedge was faster counts with the
    /// time that it had run, so hedging does not make the delay shorter and itself more frequent. A failure counts only
    /// when it came later than the delay: that a dependency fails fast does not mean that it answers fast. A call whose
    /// own task was cancelled does not count.
    ///
    /// The delay is at most an eighth longer than the exact quantile. The window slides in tenths of its length, and
    /// nothing older than it counts.
    ///
    /// - Parameters:
    ///   - quantile: The share of calls that are not hedged.
    ///   - initial: The delay while fewer than `minimumCalls` were measured.
    ///   - minimumCalls: How many calls in the window it takes to tell the quantile.
    ///   - window: How far back calls are measured.
    /// - Returns: The rule.
    /// - Precondition: `quantile` is above 0 and below 1, `initial` is positive, `minimumCalls` is from 1 to 1,000,000,
    ///   and `window` is from 1 second to 1 day.
    public static func quantile(
        _ quantile: Double,
        initial: Duration,
        minimumCalls: Int = 100,
        over window: Duration = .seconds(60)
    ) -> HedgeDelay {
        requireValid(quantile > 0 && quantile < 1, "a hedge's quantile must be above 0 and below 1 (is \(quantile))")
        requireValid(initial > .zero, "a hedge's initial delay must be positive (is \(initial))")
        requireValid(
            (1...1_000_000).contains(minimumCalls),
            "a hedge's minimumCalls must be from 1 to 1,000,000 (is \(minimumCalls))"
        )
        requireValid(
            window >= .seconds(1) && window <= .seconds(86_400),
            "a hedge's window must be from 1 second to 1 day (is \(window))"
        )
        return HedgeDelay(
            kind: .quantile(
                Quantile(
                    quantile: quantile,
                    initial: initial.saturatingNanoseconds,
                    minimumCalls: minimumCalls,
                    window: window.saturatingNanoseconds
                )
            )
        )
    }
}
