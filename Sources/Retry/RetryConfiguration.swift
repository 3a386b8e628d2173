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

    /// The least time that an attempt needs: when no more than this is left before the deadline, there is no other.
    public let minimumAttempt: Duration

    /// Creates a configuration.
    ///
    /// - Parameters:
    ///   - idempotency: Whether the call may happen twice without harm.
    ///   - maxAttempts: The most attempts, the first included.
    ///   - backoff: The waits between attempts.
    ///   - throttledBackoff: The waits after an error of the category `rateLimited`.
    ///   - maximumRetryAfter: The longest wait that a failing dependency may ask for.
    ///   - minimumAttempt: The least time that an attempt needs.
    /// - Precondition: `maxAttempts` is at least 1; `maximumRetryAfter` and `minimumAttempt` are not negative.
    public init(
        _ idempotency: Idempotency,
        maxAttempts: Int = 3,
        backoff: Backoff = .exponential(),
        throttledBackoff: Backoff = .exponential(initial: .seconds(1)),
        maximumRetryAfter: Duration = .seconds(60),
        minimumAttempt: Duration = .zero
    ) {
        precondition(maxAttempts >= 1, "maxAttempts must be at least 1 (is \(maxAttempts))")
        precondition(maximumRetryAfter >= .zero, "maximumRetryAfter must not be negative (is \(maximumRetryAfter))")
        precondition(minimumAttempt >= .zero, "minimumAttempt must not be negative (is \(minimumAttempt))")
        self.idempotency = idempotency
        self.maxAttempts = maxAttempts
        self.backoff = backoff
        self.throttledBackoff = throttledBackoff
        self.maximumRetryAfter = maximumRetryAfter
        self.minimumAttempt = minimumAttempt
    }
}

extension RetryConfiguration {
    /// The longest that all waits of a call can take together.
    var longestWaits: Duration {
        // What a dependency asks for, and the tenth that jitter adds.
        let asked = maximumRetryAfter.saturatingNanoseconds
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
