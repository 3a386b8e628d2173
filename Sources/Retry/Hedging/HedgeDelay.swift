public import ReliabilityCore

/// The time without an answer after which another attempt starts.
public struct HedgeDelay: Hashable, Sendable {
    struct Quantile: Hashable {
        let quantile: Double
        let initial: Duration
        let minCalls: Int
        let window: Duration

        /// The initial delay in nanoseconds.
        var initialNanoseconds: Int64 { initial.saturatingNanoseconds }
    }

    enum Kind: Hashable {
        case fixed(Duration)
        case quantile(Quantile)
    }

    let kind: Kind

    /// The same delay for every call.
    ///
    /// - Parameter delay: The delay, positive.
    /// - Returns: The delay.
    public static func fixed(_ delay: Duration) -> HedgeDelay { HedgeDelay(kind: .fixed(delay)) }

    /// A quantile of the recent latencies.
    ///
    /// With the quantile 0.95, a call in twenty is hedged.
    ///
    /// - Only the first attempts of calls are measured.
    /// - An attempt that lost to a hedge counts with the time that the attempt had run. Hedging therefore does not
    ///   shorten the delay.
    /// - A failure counts only if it came later than the delay, because a dependency that fails fast does not answer
    ///   fast.
    /// - A rejection by a policy does not count. A call whose own task was cancelled does not count.
    ///
    /// The delay is at most an eighth longer than the exact quantile. The window slides in tenths of its length. Older
    /// calls do not count.
    ///
    /// - Parameters:
    ///   - quantile: The share of calls that are not hedged, above 0 and below 1.
    ///   - initial: The delay while fewer than `minCalls` calls were measured, positive.
    ///   - minCalls: The number of measured calls from which the quantile holds, from 1 to 1,000,000. Defaults to 100.
    ///   - window: The time over which calls are measured, from 1 second to 1 day. Defaults to 60 seconds.
    /// - Returns: The delay.
    public static func quantile(
        _ quantile: Double,
        initial: Duration,
        minCalls: Int = 100,
        over window: Duration = .seconds(60)
    ) -> HedgeDelay {
        HedgeDelay(
            kind: .quantile(Quantile(quantile: quantile, initial: initial, minCalls: minCalls, window: window))
        )
    }

    /// Checks every figure.
    ///
    /// - Throws: `ConfigurationError` with every problem.
    public func validate() throws(ConfigurationError) {
        var problems = ConfigurationProblems("hedge delay")
        switch kind {
        case .fixed(let delay):
            problems.require(delay > .zero, "the delay must be positive (is \(delay))")
        case .quantile(let rule):
            let (quantile, initial, minCalls, window) = (rule.quantile, rule.initial, rule.minCalls, rule.window)
            problems.require(
                quantile > 0 && quantile < 1,
                "the quantile must be above 0 and below 1 (is \(quantile))"
            )
            problems.require(initial > .zero, "the initial delay must be positive (is \(initial))")
            problems.require(
                (1...1_000_000).contains(minCalls),
                "minCalls must be from 1 to 1,000,000 (is \(minCalls))"
            )
            problems.require(
                window >= .seconds(1) && window <= .seconds(86_400),
                "the window must be from 1 second to 1 day (is \(window))"
            )
        }
        try problems.throwIfAny()
    }
}
