/// How often a call is tried, and how long apart.
public struct RetryConfiguration: Hashable, Sendable {
    /// The most attempts, the first included.
    public let maxAttempts: Int

    /// The waits between attempts.
    public let backoff: Backoff

    /// The longest wait that a failing dependency may ask for; when it asks for more, there is no further attempt.
    public let maximumRetryAfter: Duration

    /// Creates a configuration.
    ///
    /// - Parameters:
    ///   - maxAttempts: The most attempts, the first included.
    ///   - backoff: The waits between attempts.
    ///   - maximumRetryAfter: The longest wait that a failing dependency may ask for.
    /// - Precondition: `maxAttempts` is at least 1 and `maximumRetryAfter` is not negative.
    public init(
        maxAttempts: Int = 3,
        backoff: Backoff = .exponential(),
        maximumRetryAfter: Duration = .seconds(60)
    ) {
        precondition(maxAttempts >= 1, "maxAttempts must be at least 1 (is \(maxAttempts))")
        precondition(maximumRetryAfter >= .zero, "maximumRetryAfter must not be negative (is \(maximumRetryAfter))")
        self.maxAttempts = maxAttempts
        self.backoff = backoff
        self.maximumRetryAfter = maximumRetryAfter
    }
}
