public import CircuitBreaker
public import Retry
internal import Timeout

/// All figures of an ``ExternalCall``: plain values, which can come from a file.
///
/// | preset | whole call | attempts | each | waits |
/// |---|---|---|---|---|
/// | ``externalAPI(_:)`` | 8 s | 3 | 2.5 s | 100 ms, 200 ms |
/// | ``database(_:)`` | 10 s | 3 | 3 s | 50 ms, 100 ms |
/// | ``cache(_:)`` | 2 s | 3 | 600 ms | 20 ms, 40 ms |
/// | ``email(_:)`` | 10 s | 2 | 4.5 s | 500 ms |
/// | ``fileUpload(_:)`` | 30 s | 2 | 14 s | 500 ms |
/// | ``webhook(_:)`` | 15 s | 3 | 4.5 s | 200 ms, 400 ms |
///
/// The waits are the longest; each is anything from zero to that, by chance. In every preset the circuit breaker opens by
/// ``CircuitBreaker/BreakerTrip/standard``, for 30 seconds: when half of at least 20 attempts in 10 seconds have failed, or,
/// at any traffic, 10 in a row over at least a second. Attempts count whether or not a retry hides their errors. A few
/// errors among successes open it at no traffic, and neither do the attempts of one call.
public struct ExternalCallConfiguration: Hashable, Sendable {
    /// Whether a call may happen twice without harm, when the call itself does not say.
    public var idempotency: Idempotency
    /// How long a call may take, all attempts and waits included.
    public var totalLimit: Duration
    /// How long one attempt may take.
    public var attemptLimit: Duration
    /// The most attempts, the first included.
    public var maxAttempts: Int
    /// The longest wait after the first attempt; it doubles with each.
    public var firstWait: Duration
    /// The longest wait of all.
    public var longestWait: Duration
    /// When the circuit breaker opens; each failed attempt is one failure.
    public var breakerTrip: BreakerTrip
    /// How long an open breaker rejects every call.
    public var breakerOpenFor: Duration
    /// Whether a call that is given up throws what its last attempt threw, instead of a ``Retry/RetryError``.
    ///
    /// A ``Retry/RetryError`` is thrown nevertheless when the last attempt was not sent and one before it may have been.
    public var rethrowsLastError: Bool

    /// Creates a configuration.
    ///
    /// Nothing is checked here: ``problems()`` says what is wrong.
    ///
    /// - Parameters:
    ///   - idempotency: Whether a call may happen twice without harm, when the call itself does not say.
    ///   - totalLimit: How long a call may take, all attempts and waits included.
    ///   - attemptLimit: How long one attempt may take.
    ///   - maxAttempts: The most attempts, the first included.
    ///   - firstWait: The longest wait after the first attempt; it doubles with each.
    ///   - longestWait: The longest wait of all.
    ///   - breakerTrip: When the circuit breaker opens.
    ///   - breakerOpenFor: How long an open breaker rejects every call.
    ///   - rethrowsLastError: Whether a call that is given up throws what its last attempt threw. Defaults to `false`.
    public init(
        _ idempotency: Idempotency,
        totalLimit: Duration,
        attemptLimit: Duration,
        maxAttempts: Int = 3,
        firstWait: Duration = .milliseconds(100),
        longestWait: Duration = .seconds(2),
        breakerTrip: BreakerTrip = .standard,
        breakerOpenFor: Duration = .seconds(30),
        rethrowsLastError: Bool = false
    ) {
        self.idempotency = idempotency
        self.totalLimit = totalLimit
        self.attemptLimit = attemptLimit
        self.maxAttempts = maxAttempts
        self.firstWait = firstWait
        self.longestWait = longestWait
        self.breakerTrip = breakerTrip
        self.breakerOpenFor = breakerOpenFor
        self.rethrowsLastError = rethrowsLastError
    }

    /// What is wrong with the figures, a sentence each; empty when they can be used.
    ///
    /// - Returns: All problems, each with the figure.
    public func problems() -> [String] {
        var problems: [String] = []
        func require(_ isTrue: Bool, _ problem: @autoclosure () -> String) {
            if !isTrue { problems.append(problem()) }
        }
        require(totalLimit > .zero, "totalLimit must be positive (is \(totalLimit))")
        require(attemptLimit > .zero, "attemptLimit must be positive (is \(attemptLimit))")
        require(
            attemptLimit < totalLimit,
            "attemptLimit must be shorter than totalLimit (is \(attemptLimit), and totalLimit \(totalLimit))"
        )
        require((1...100).contains(maxAttempts), "maxAttempts must be from 1 to 100 (is \(maxAttempts))")
        require(firstWait >= .zero, "firstWait must not be negative (is \(firstWait))")
        require(
            longestWait >= firstWait,
            "longestWait must be at least firstWait (is \(longestWait), and firstWait \(firstWait))"
        )
        problems += breakerTrip.problems().map { "breakerTrip: \($0)" }
        require(breakerOpenFor > .zero, "breakerOpenFor must be positive (is \(breakerOpenFor))")
        return problems
    }
}

// MARK: Presets

extension ExternalCallConfiguration {
    /// A call to somebody else's service.
    ///
    /// - Parameter idempotency: Whether a call may happen twice without harm, when the call itself does not say.
    /// - Returns: The configuration.
    public static func externalAPI(_ idempotency: Idempotency) -> ExternalCallConfiguration {
        preset(idempotency, .externalAPI, attempts: 3, of: .milliseconds(2500), wait: .milliseconds(100))
    }

    /// A query.
    ///
    /// - Parameter idempotency: Whether a call may happen twice without harm, when the call itself does not say.
    /// - Returns: The configuration.
    public static func database(_ idempotency: Idempotency) -> ExternalCallConfiguration {
        preset(idempotency, .database, attempts: 3, of: .seconds(3), wait: .milliseconds(50))
    }

    /// One use of a cache, which is worth waiting for only as long as asking the source would take.
    ///
    /// - Parameter idempotency: Whether a call may happen twice without harm, when the call itself does not say.
    /// - Returns: The configuration.
    public static func cache(_ idempotency: Idempotency) -> ExternalCallConfiguration {
        preset(idempotency, .cache, attempts: 3, of: .milliseconds(600), wait: .milliseconds(20))
    }

    /// Handing over one e-mail; what then still fails belongs into an outbox.
    ///
    /// - Parameter idempotency: Whether a call may happen twice without harm, when the call itself does not say.
    /// - Returns: The configuration.
    public static func email(_ idempotency: Idempotency) -> ExternalCallConfiguration {
        preset(idempotency, .email, attempts: 2, of: .milliseconds(4500), wait: .milliseconds(500))
    }

    /// An upload.
    ///
    /// - Parameter idempotency: Whether a call may happen twice without harm, when the call itself does not say.
    /// - Returns: The configuration.
    public static func fileUpload(_ idempotency: Idempotency) -> ExternalCallConfiguration {
        preset(idempotency, .fileUpload, attempts: 2, of: .seconds(14), wait: .milliseconds(500))
    }

    /// Delivering one webhook.
    ///
    /// - Parameter idempotency: Whether a call may happen twice without harm, when the call itself does not say.
    /// - Returns: The configuration.
    public static func webhook(_ idempotency: Idempotency) -> ExternalCallConfiguration {
        preset(idempotency, .webhook, attempts: 3, of: .milliseconds(4500), wait: .milliseconds(200))
    }

    private static func preset(
        _ idempotency: Idempotency,
        _ total: TimeLimit,
        attempts: Int,
        of attemptLimit: Duration,
        wait: Duration
    ) -> ExternalCallConfiguration {
        ExternalCallConfiguration(
            idempotency,
            totalLimit: total.duration,
            attemptLimit: attemptLimit,
            maxAttempts: attempts,
            firstWait: wait
        )
    }
}
