public import ReliabilityCore

extension RetryPolicy {
    /// The configuration of a ``RetryPolicy``.
    ///
    /// ```swift
    /// let reads = RetryPolicy(.idempotent(maxAttempts: 4))
    /// let writes = RetryPolicy(.notIdempotent)
    /// ```
    public struct Configuration: Hashable, Sendable {
        /// The effect of making a call twice.
        public var idempotency: Idempotency

        /// The most attempts of a call including the first attempt, at least 1.
        public var maxAttempts: Int

        /// The waits between attempts.
        public var backoff: Backoff

        /// The waits after an error of the category `rateLimited`.
        ///
        /// A dependency that asks for fewer calls needs longer waits than a dependency that fails.
        public var throttledBackoff: Backoff

        /// The longest wait that a failing dependency may ask for, not negative.
        ///
        /// The policy gives up if the dependency asks for a longer wait.
        public var maxRetryAfter: Duration

        /// The longest wait that a rejection by another policy may ask for, not negative.
        ///
        /// With zero, a rejected attempt is the last attempt. A call whose circuit breaker is open then fails fast.
        /// With a longer time, every caller of a dependency that is down waits until the breaker admits calls.
        public var maxRejectionWait: Duration

        /// The least time that an attempt needs, not negative.
        ///
        /// The policy gives up if no more than this time would be left between the wait and the deadline.
        public var minAttemptDuration: Duration

        /// A Boolean value that indicates whether a call that is given up throws the error of its last attempt.
        ///
        /// If the value is `false`, the call throws a ``RetryError``. The call also throws a ``RetryError`` if the last
        /// error states that nothing was sent although an earlier attempt may have been sent.
        public var rethrowsLastError: Bool

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - idempotency: The effect of making a call twice.
        ///   - maxAttempts: The most attempts of a call, including the first attempt. At least 1. Defaults to 3.
        ///   - backoff: The waits between attempts. Defaults to an exponential backoff from 100 milliseconds.
        ///   - throttledBackoff: The waits after an error of the category `rateLimited`. Defaults to an exponential
        ///     backoff from 1 second.
        ///   - maxRetryAfter: The longest wait that a failing dependency may ask for. Defaults to 60 seconds.
        ///   - maxRejectionWait: The longest wait that a rejection by another policy may ask for. Defaults to zero.
        ///   - minAttemptDuration: The least time that an attempt needs. Defaults to zero.
        ///   - rethrowsLastError: `true` if the error of the last attempt is thrown. Defaults to `false`.
        public init(
            _ idempotency: Idempotency,
            maxAttempts: Int = 3,
            backoff: Backoff = .exponential(),
            throttledBackoff: Backoff = .exponential(initial: .seconds(1)),
            maxRetryAfter: Duration = .seconds(60),
            maxRejectionWait: Duration = .zero,
            minAttemptDuration: Duration = .zero,
            rethrowsLastError: Bool = false
        ) {
            self.idempotency = idempotency
            self.maxAttempts = maxAttempts
            self.backoff = backoff
            self.throttledBackoff = throttledBackoff
            self.maxRetryAfter = maxRetryAfter
            self.maxRejectionWait = maxRejectionWait
            self.minAttemptDuration = minAttemptDuration
            self.rethrowsLastError = rethrowsLastError
        }

        /// Checks every field.
        ///
        /// - Throws: `ConfigurationError` with every problem.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("retry policy")
            problems.require(maxAttempts >= 1, "maxAttempts must be at least 1 (is \(maxAttempts))")
            problems.require("backoff", backoff.validate)
            problems.require("throttledBackoff", throttledBackoff.validate)
            problems.require(maxRetryAfter >= .zero, "maxRetryAfter must not be negative (is \(maxRetryAfter))")
            problems.require(
                maxRejectionWait >= .zero,
                "maxRejectionWait must not be negative (is \(maxRejectionWait))"
            )
            problems.require(
                minAttemptDuration >= .zero,
                "minAttemptDuration must not be negative (is \(minAttemptDuration))"
            )
            try problems.throwIfAny()
        }
    }
}

extension RetryPolicy.Configuration {
    /// Up to three attempts of an idempotent call.
    public static let idempotent = Self(.idempotent)

    /// Up to three attempts of a call that must not happen twice.
    ///
    /// The policy retries only if nothing was sent. See ``Idempotency/notIdempotent``.
    public static let notIdempotent = Self(.notIdempotent)

    /// Attempts of an idempotent call.
    ///
    /// - Parameters:
    ///   - maxAttempts: The most attempts, including the first attempt. At least 1.
    ///   - backoff: The waits between attempts. Defaults to an exponential backoff from 100 milliseconds.
    /// - Returns: The configuration.
    public static func idempotent(maxAttempts: Int, backoff: Backoff = .exponential()) -> Self {
        Self(.idempotent, maxAttempts: maxAttempts, backoff: backoff)
    }

    /// Attempts of a call that must not happen twice.
    ///
    /// - Parameters:
    ///   - maxAttempts: The most attempts, including the first attempt. At least 1.
    ///   - backoff: The waits between attempts. Defaults to an exponential backoff from 100 milliseconds.
    /// - Returns: The configuration.
    public static func notIdempotent(maxAttempts: Int, backoff: Backoff = .exponential()) -> Self {
        Self(.notIdempotent, maxAttempts: maxAttempts, backoff: backoff)
    }
}

extension RetryPolicy.Configuration {
    /// The longest time that all waits of a call can take together.
    var maxTotalWait: Duration {
        // The wait that a dependency or a rejection asks for, plus the tenth that jitter adds.
        let asked = max(maxRetryAfter, maxRejectionWait).saturatingNanoseconds
        let floor = asked.saturatingAdd(asked / 10)
        return sum { max(floor, backoff.ceiling(afterAttempt: $0), throttledBackoff.ceiling(afterAttempt: $0)) }
    }

    /// The longest time that all waits of a call can take together if the dependency asks for no wait.
    var maxTotalBackoff: Duration { sum(backoff.ceiling(afterAttempt:)) }

    private func sum(_ longestWait: (_ attempt: Int) -> Int64) -> Duration {
        var sum: Int64 = 0
        var attempt = 1
        // Every backoff has reached its longest wait after 64 attempts.
        while attempt < min(maxAttempts, 64) {
            sum = sum.saturatingAdd(longestWait(attempt))
            attempt += 1
        }
        return .nanoseconds(sum.saturatingAdd(longestWait(attempt).saturatingMultiply(Int64(maxAttempts - attempt))))
    }
}
