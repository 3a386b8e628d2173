public import ReliabilityCore

extension RetryBudget {
    /// The number of extra attempts that a ``RetryBudget`` allows.
    ///
    /// ```swift
    /// let tokens = RetryBudget(.tokens(capacity: 500))
    /// let window = RetryBudget(.window(ratio: 0.1, perSecond: 5))
    /// ```
    ///
    /// Tokens bound the number of retries while all calls fail. With the defaults, 35 retries follow transient
    /// failures. A window bounds the share of the load that extra attempts add, for any duration of an outage.
    public struct Configuration: Hashable, Sendable {
        struct Tokens: Hashable {
            let capacity: Int
            let refill: Int
            let transient: Int
            let timeout: Int
            let throttled: Int
            let hedge: Int

            func cost(of cost: RetryCost) -> Int {
                switch cost {
                case .transient: transient
                case .timeout: timeout
                case .throttled: throttled
                case .hedge: hedge
                }
            }
        }

        struct Window: Hashable {
            let ratio: Double
            let perSecond: Int
            let window: Duration

            /// The length in nanoseconds.
            var length: Int64 { window.saturatingNanoseconds }
            /// The extra attempts for each call of a valid configuration, in thousandths of an attempt.
            var thousandths: Int {
                // Rounded and not truncated, because 1.001 · 1000 is a little less than 1001.
                Int((ratio * 1000).rounded())
            }
            /// The extra attempts without any call of a valid configuration, in thousandths of an attempt.
            var floor: Int {
                // A thousandth for each second is a unit for each millisecond.
                perSecond * Int(length / 1_000_000)
            }
        }

        enum Kind: Hashable {
            case tokens(Tokens)
            case window(Window)
        }

        let kind: Kind

        /// The defaults of ``tokens(capacity:refill:transient:timeout:throttled:hedge:)``.
        public static let standard = Self.tokens()

        /// A bucket of tokens, which starts full.
        ///
        /// Each extra attempt takes tokens. Each call that succeeds at its first attempt adds tokens. Only the
        /// proportions of the numbers matter. For a tenth of a token for each success, multiply every number by ten.
        /// The defaults are the numbers of the AWS SDKs. By default a hedge costs as much as the most expensive retry.
        ///
        /// - Parameters:
        ///   - capacity: The most tokens, from 1 to 1,000,000,000. Every other number is from 1 to `capacity`.
        ///   - refill: The tokens that a call adds when its first attempt succeeds.
        ///   - transient: The cost of an attempt after a transient failure.
        ///   - timeout: The cost of an attempt after a timeout.
        ///   - throttled: The cost of an attempt after the dependency asked for fewer calls.
        ///   - hedge: The cost of a hedge.
        /// - Returns: The configuration.
        public static func tokens(
            capacity: Int = 500,
            refill: Int = 1,
            transient: Int = 14,
            timeout: Int = 10,
            throttled: Int = 5,
            hedge: Int = 14
        ) -> Self {
            let tokens = Tokens(
                capacity: capacity,
                refill: refill,
                transient: transient,
                timeout: timeout,
                throttled: throttled,
                hedge: hedge
            )
            return Self(kind: .tokens(tokens))
        }

        /// A share of the calls of a sliding window, and a number of extra attempts for quiet times.
        ///
        /// The window slides in twentieths of its length. Older calls and attempts do not count. At every decision, the
        /// last nineteen twentieths have at most `perSecond · window + ratio · calls` extra attempts. The defaults are
        /// the numbers of Finagle. If `ratio` and `perSecond` are zero, the window allows no extra attempts.
        ///
        /// - Parameters:
        ///   - ratio: The extra attempts for each call, from 0 to 100, rounded to a thousandth. Defaults to 0.2, which
        ///     is an extra attempt for every five calls.
        ///   - perSecond: The further extra attempts for each second of the window, from 0 to 1,000,000. Defaults to
        ///     10.
        ///   - window: The time over which calls and extra attempts count, from 1 second to 1 day. Defaults to 10
        ///     seconds.
        /// - Returns: The configuration.
        public static func window(
            ratio: Double = 0.2,
            perSecond: Int = 10,
            over window: Duration = .seconds(10)
        ) -> Self {
            Self(kind: .window(Window(ratio: ratio, perSecond: perSecond, window: window)))
        }

        /// Checks every field.
        ///
        /// - Throws: `ConfigurationError` with every problem.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("retry budget")
            switch kind {
            case .tokens(let tokens):
                let capacity = tokens.capacity
                problems.require(
                    (1...1_000_000_000).contains(capacity),
                    "capacity must be from 1 to 1,000,000,000 (is \(capacity))"
                )
                let numbers = [
                    ("refill", tokens.refill), ("transient", tokens.transient), ("timeout", tokens.timeout),
                    ("throttled", tokens.throttled), ("hedge", tokens.hedge),
                ]
                for (name, number) in numbers {
                    problems.require(
                        number >= 1 && number <= capacity,
                        "\(name) must be from 1 to the capacity of \(capacity) (is \(number))"
                    )
                }
            case .window(let rule):
                let (ratio, perSecond, window) = (rule.ratio, rule.perSecond, rule.window)
                problems.require(ratio >= 0 && ratio <= 100, "ratio must be from 0 to 100 (is \(ratio))")
                problems.require(
                    (0...1_000_000).contains(perSecond),
                    "perSecond must be from 0 to 1,000,000 (is \(perSecond))"
                )
                problems.require(
                    window >= .seconds(1) && window <= .seconds(86_400),
                    "the window must be from 1 second to 1 day (is \(window))"
                )
            }
            try problems.throwIfAny()
        }
    }
}
