public import CircuitBreaker
public import ReliabilityCore
public import Retry

extension ExternalCall {
    /// The configuration of an ``ExternalCall``.
    ///
    /// The fields are plain values and can come from a file. ``validate()`` reports every problem.
    ///
    /// | preset | whole call | attempts | each attempt | longest waits |
    /// |---|---|---|---|---|
    /// | ``externalAPI(_:)`` | 8 s | 3 | 2.5 s | 100 ms, 200 ms |
    /// | ``database(_:)`` | 10 s | 3 | 3 s | 50 ms, 100 ms |
    /// | ``cache(_:)`` | 2 s | 3 | 600 ms | 20 ms, 40 ms |
    /// | ``email(_:)`` | 10 s | 2 | 4.5 s | 500 ms |
    /// | ``fileUpload(_:)`` | 30 s | 2 | 14 s | 500 ms |
    /// | ``webhook(_:)`` | 15 s | 3 | 4.5 s | 200 ms, 400 ms |
    ///
    /// Each wait is random, from zero to the wait in the table. The circuit breaker of every preset opens by
    /// ``CircuitBreaker/TripCondition/standard`` for 30 seconds: after failures of half of at least 20 attempts in 10
    /// seconds, or after 10 failures in a row that last at least a second. Every attempt counts. An attempt counts even
    /// if a retry hides its error. Neither a few errors among successes nor the attempts of a single call open the
    /// breaker.
    public struct Configuration: Hashable, Sendable {
        /// The idempotency of calls that state no idempotency of their own.
        public var idempotency: Idempotency
        /// The longest time of a call with all attempts and waits; positive.
        public var totalTimeout: Duration
        /// The longest time of an attempt; positive and shorter than ``totalTimeout``.
        public var attemptTimeout: Duration
        /// The maximum number of attempts of a call with the first attempt, from 1 to 100.
        public var maxAttempts: Int
        /// The waits between attempts.
        public var backoff: Backoff
        /// The configuration of the circuit breaker, which counts every attempt.
        public var breaker: Breaker.Configuration
        /// A Boolean value that indicates whether a call without a further attempt throws the error of the last attempt
        /// instead of a `RetryError`.
        ///
        /// A `RetryError` is thrown nevertheless if the last attempt was not sent and an earlier attempt may have been
        /// sent.
        public var rethrowsLastError: Bool

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - idempotency: The idempotency of calls that state no idempotency of their own.
        ///   - totalTimeout: The longest time of a call with all attempts and waits.
        ///   - attemptTimeout: The longest time of an attempt.
        ///   - maxAttempts: The maximum number of attempts of a call. Defaults to 3.
        ///   - backoff: The waits between attempts. Defaults to 100 milliseconds, doubling up to 2 seconds.
        ///   - breaker: The configuration of the circuit breaker. Defaults to `standard`.
        ///   - rethrowsLastError: A Boolean value that indicates whether the error of the last attempt is thrown.
        ///     Defaults to `false`.
        public init(
            _ idempotency: Idempotency,
            totalTimeout: Duration,
            attemptTimeout: Duration,
            maxAttempts: Int = 3,
            backoff: Backoff = .exponential(initial: .milliseconds(100), max: .seconds(2)),
            breaker: Breaker.Configuration = .standard,
            rethrowsLastError: Bool = false
        ) {
            self.idempotency = idempotency
            self.totalTimeout = totalTimeout
            self.attemptTimeout = attemptTimeout
            self.maxAttempts = maxAttempts
            self.backoff = backoff
            self.breaker = breaker
            self.rethrowsLastError = rethrowsLastError
        }

        /// Checks every field.
        ///
        /// - Throws: `ConfigurationError` with every problem.
        public func validate() throws(ConfigurationError) { try validate(as: "external call") }

        func validate(as part: String) throws(ConfigurationError) {
            var problems = ConfigurationProblems(part)
            problems.require(totalTimeout > .zero, "totalTimeout must be positive (is \(totalTimeout))")
            problems.require(attemptTimeout > .zero, "attemptTimeout must be positive (is \(attemptTimeout))")
            problems.require(
                attemptTimeout < totalTimeout,
                "attemptTimeout must be shorter than totalTimeout (is \(attemptTimeout), and totalTimeout \(totalTimeout))"
            )
            problems.require((1...100).contains(maxAttempts), "maxAttempts must be from 1 to 100 (is \(maxAttempts))")
            problems.require("backoff", backoff.validate)
            problems.require("breaker", breaker.validate)
            try problems.throwIfAny()
        }
    }
}

// MARK: Presets

extension ExternalCall.Configuration {
    /// The configuration for calls to a service of another organization.
    ///
    /// - Parameter idempotency: The idempotency of calls that state no idempotency of their own.
    /// - Returns: The configuration.
    public static func externalAPI(_ idempotency: Idempotency) -> Self {
        preset(idempotency, .seconds(8), attempts: 3, of: .milliseconds(2500), wait: .milliseconds(100))
    }

    /// The configuration for queries.
    ///
    /// - Parameter idempotency: The idempotency of calls that state no idempotency of their own.
    /// - Returns: The configuration.
    public static func database(_ idempotency: Idempotency) -> Self {
        preset(idempotency, .seconds(10), attempts: 3, of: .seconds(3), wait: .milliseconds(50))
    }

    /// The configuration for requests to a cache.
    ///
    /// - Parameter idempotency: The idempotency of calls that state no idempotency of their own.
    /// - Returns: The configuration.
    public static func cache(_ idempotency: Idempotency) -> Self {
        preset(idempotency, .seconds(2), attempts: 3, of: .milliseconds(600), wait: .milliseconds(20))
    }

    /// The configuration for sending e-mail.
    ///
    /// An e-mail that must arrive belongs into an outbox.
    ///
    /// - Parameter idempotency: The idempotency of calls that state no idempotency of their own.
    /// - Returns: The configuration.
    public static func email(_ idempotency: Idempotency) -> Self {
        preset(idempotency, .seconds(10), attempts: 2, of: .milliseconds(4500), wait: .milliseconds(500))
    }

    /// The configuration for uploads.
    ///
    /// - Parameter idempotency: The idempotency of calls that state no idempotency of their own.
    /// - Returns: The configuration.
    public static func fileUpload(_ idempotency: Idempotency) -> Self {
        preset(idempotency, .seconds(30), attempts: 2, of: .seconds(14), wait: .milliseconds(500))
    }

    /// The configuration for deliveries of webhooks.
    ///
    /// - Parameter idempotency: The idempotency of calls that state no idempotency of their own.
    /// - Returns: The configuration.
    public static func webhook(_ idempotency: Idempotency) -> Self {
        preset(idempotency, .seconds(15), attempts: 3, of: .milliseconds(4500), wait: .milliseconds(200))
    }

    private static func preset(
        _ idempotency: Idempotency,
        _ totalTimeout: Duration,
        attempts: Int,
        of attemptTimeout: Duration,
        wait: Duration
    ) -> Self {
        Self(
            idempotency,
            totalTimeout: totalTimeout,
            attemptTimeout: attemptTimeout,
            maxAttempts: attempts,
            backoff: .exponential(initial: wait, max: .seconds(2))
        )
    }
}
