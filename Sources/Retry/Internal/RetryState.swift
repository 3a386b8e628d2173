/// The course of one call: which attempt it is at, and what follows a failure.
struct RetryState {
    /// What follows a failed attempt.
    enum Action: Hashable {
        /// Wait this long, then try again.
        case retry(after: Duration)
        /// Throw the attempt's own error.
        case rethrow
        /// Throw a `RetryError`.
        case giveUp(RetryError.Reason)
    }

    private(set) var attempt = 1

    /// An attempt failed.
    ///
    /// - Parameters:
    ///   - decision: What the error's classification says.
    ///   - configuration: The policy's configuration.
    ///   - remaining: The time left until the deadline; nil without one.
    ///   - backoff: The backoff's wait after an attempt; asked only when there is to be another.
    /// - Returns: What to do now.
    mutating func attemptFailed(
        _ decision: RetryDecision,
        configuration: RetryConfiguration,
        remaining: Duration?,
        backoff: (_ attempt: Int) -> Duration
    ) -> Action {
        var floor = Duration.zero
        switch decision {
        case .stop: return .rethrow
        case .retryAfter(let wait): floor = wait
        case .retry: break
        }
        if attempt >= configuration.maxAttempts { return .giveUp(.attemptsExhausted) }
        if floor > configuration.maximumRetryAfter { return .giveUp(.retryAfterTooLong) }
        let wait = max(floor, backoff(attempt))
        // A wait that ends at the deadline leaves no time for the attempt.
        if let remaining, remaining <= wait { return .giveUp(.deadlineTooClose) }
        attempt += 1
        return .retry(after: wait)
    }
}
