public import ReliabilityCore

extension Hedger {
    /// The configuration of a ``Hedger``.
    ///
    /// ```swift
    /// let adaptive = Hedger(.quantile(0.95, initial: .milliseconds(50)))
    /// let fixed = Hedger(.after(.milliseconds(50), maxHedges: 2))
    /// ```
    public struct Configuration: Hashable, Sendable {
        /// The time without an answer after which another attempt starts.
        ///
        /// Each further hedge waits for the same delay again.
        public var delay: HedgeDelay

        /// The most attempts besides the first, from 1 to 10.
        public var maxHedges: Int

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - delay: The delay after which another attempt starts.
        ///   - maxHedges: The most attempts besides the first, from 1 to 10. Defaults to 1.
        public init(_ delay: HedgeDelay, maxHedges: Int = 1) {
            self.delay = delay
            self.maxHedges = maxHedges
        }

        /// Checks every field.
        ///
        /// - Throws: `ConfigurationError` with every problem.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("hedger")
            problems.require("delay", delay.validate)
            problems.require((1...10).contains(maxHedges), "maxHedges must be from 1 to 10 (is \(maxHedges))")
            try problems.throwIfAny()
        }

        /// A hedge after the same delay for every call.
        ///
        /// - Parameters:
        ///   - delay: The delay, positive.
        ///   - maxHedges: The most attempts besides the first, from 1 to 10. Defaults to 1.
        /// - Returns: The configuration.
        public static func after(_ delay: Duration, maxHedges: Int = 1) -> Self {
            Self(.fixed(delay), maxHedges: maxHedges)
        }

        /// A hedge after a quantile of the recent latencies.
        ///
        /// See ``HedgeDelay/quantile(_:initial:minCalls:over:)``.
        ///
        /// - Parameters:
        ///   - quantile: The share of calls that are not hedged, above 0 and below 1.
        ///   - initial: The delay while fewer than `minCalls` calls were measured, positive.
        ///   - minCalls: The number of measured calls from which the quantile holds, from 1 to 1,000,000. Defaults to
        ///     100.
        ///   - window: The time over which calls are measured, from 1 second to 1 day. Defaults to 60 seconds.
        ///   - maxHedges: The most attempts besides the first, from 1 to 10. Defaults to 1.
        /// - Returns: The configuration.
        public static func quantile(
            _ quantile: Double,
            initial: Duration,
            minCalls: Int = 100,
            over window: Duration = .seconds(60),
            maxHedges: Int = 1
        ) -> Self {
            Self(
                .quantile(quantile, initial: initial, minCalls: minCalls, over: window),
                maxHedges: maxHedges
            )
        }
    }
}
