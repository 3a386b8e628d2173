internal import ReliabilityCore

/// How often a call is tried, and how long apart.
public struct RetryConfiguration: Hashable, Sendable {
    /// Whether the call may happen twice without harm.
    public let idempotency: Idempotency

    /// The most attempts, the first included.
    public let maxAttempts: Int

    /// The waits between attempts.
    public let backoff: Backoff

    /// The waits after a dependency has said that it is asked too often.
    ///
    /// It means more by it than by a failure: these waits are longer.
    public let throttledBackoff: Backoff

    /// The longest wait that a failing dependency may ask for; when it asks for more, there is no further attempt.
    public let maximumRetryAfter: Duration

    /// The longest wait that a rejection by another policy may ask for, such as that of an open circuit breaker.
    ///
    /// Zero means that a rejected attempt is the last: the call fails fast. With more, the callers of a dependency that is
    /// down wait instead, all of them, for as long as the breaker is open.
    public let maximumRejectionWait: Duration

    /// The least time that an attempt needs: when no more than this is left before the deadline, there is no other.
    public let minimumAttempt: Duration

    /// Whether a call that is given up throws what its last attempt threw, instead of a ``RetryError`` with the whole story.
    ///
    /// A ``RetryError`` is thrown nevertheless when the last attempt was not sent and one before it may have been.
    public let rethrowsLastError: Bool

    /// Creates a configuration.
    ///
    /// - Parameters:
    ///   - idempotency: Whether the call may happen twice without harm.
    ///   - maxAttempts: The most attempts, the first included.
    ///   - backoff: The waits between attempts.
    ///   - throttledBackoff: The waits after an error of the category `rateLimited`.
    ///   - maximumRetryAfter: The longest wait that a failing dependency may ask for. Defaults to 60 seconds.
    ///   - maximumRejectionWait: The longest wait that a rejection by another policy may ask for. Defaults to zero: a
    ///     rejected attempt is the last.
    ///   - minimumAttempt: The least time that an attempt needs.
    ///   - rethrowsLastError: Whether a call that is given up throws what its last attempt threw. Defaults to `false`.
    /// - Precondition: `maxAttempts` is at least 1; `maximumRetryAfter`, `maximumRejectionWait` and `minimumAttempt` are not
    ///   negative.
    public init(
        _ idempotency: Idempotency,
        maxAttempts: Int = 3,
        backoff: Backoff = .exponential(),
        throttledBackoff: Backoff = .exponential(initial: .seconds(1)),
        maximumRetryAfter: Duration = .seconds(60),
        maximumRejectionWait: Duration = .zero,
        minimumAttempt: Duration = .zero,
        rethrowsLastError: Bool = false
    ) {
        requireValid(maxAttempts >= 1, "maxAttempts must be at least 1 (is \(maxAttempts))")
        requireValid(maximumRetryAfter >= .zero, "maximumRetryAfter must not be negative (is \(maximumRetryAfter))")
        requireValid(
            maximumRejectionWait >= .zero,
            "maximumRejectionWait must not be negative (is \(maximumRejectionWait))"
        )
        requireValid(minimumAttempt >= .zero, "minimumAttempt must not be negative (is \(minimumAttempt))")
        self.idempotency = idempotency
        self.maxAttempts = maxAttempts
        self.backoff = backoff
        self.throttledBackoff = throttledBackoff
        self.maximumRetryAfter = maximumRetryAfter
        self.maximumRejectionWait = maximumRejectionWait
        self.minimumAttempt = minimumAttempt
        self.rethrowsLastError = rethrowsLastError
    }
}

extension RetryConfiguration {
    /// The longest that all waits of a call can take together.
    var longestWaits: Duration {
        // What a dependency or a rejection asks for, and the tenth that jitter adds.
        let asked = max(maximumRetryAfter, maximumRejectionWait).saturatingNanoseconds
        let floor = asked.saturatingAdd(asked / 10)
        return sum { max(floor, backoff.ceiling(afterAttempt: $0), throttledBackoff.ceiling(afterAttempt: $0)) }
    }

    /// The longest that they can take when the dependency does not ask for more.
    var longestBackoff: Duration { sum(backoff.ceiling(afterAttempt:)) }

    private func sum(_ longestWait: (_ attempt: Int) -> Int64) -> Duration {
        var sum: Int64 = 0
        var attempt = 1
        // By then every backoff has reached its cap.
        while attempt < min(maxAttempts, 64) {
            sum = sum.saturatingAdd(longestWait(attempt))
            attempt += 1
        }
        return .nanoseconds(sum.saturatingAdd(longestWait(attempt).saturatingMultiply(Int64(maxAttempts - attempt))))
    }
}
