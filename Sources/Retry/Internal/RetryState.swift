internal import ReliabilityCore

/// The course of one call: which attempt it is at, and what follows a failure.
struct RetryState {
    /// What is known of a failed attempt.
    struct Failure {
        /// What the classification says.
        var decision: RetryDecision
        /// Whether the attempt may have had an effect.
        var mayHaveBeenSent = true
        /// The error's category, if it has one.
        var category: ErrorCategory?
        /// Whether one of our own policies refused the attempt.
        var isRejection = false

        /// Whether the dependency said that it is asked too often; our own limiters know exactly when to come back.
        var isThrottled: Bool { category == .rateLimited && !isRejection }

        /// What another attempt costs a budget.
        var expense: RetryBudget.Expense {
            switch category {
            case .timeout?: .timeout
            case .rateLimited?: .throttled
            default: .transient
            }
        }
    }

    /// What follows a failed attempt.
    enum Action: Hashable {
        /// Wait so many nanoseconds, then try again.
        case retry(after: Int64)
        /// Throw the attempt's own error.
        case rethrow
        /// Throw a `RetryError`.
        case giveUp(RetryError.Reason)
    }

    private(set) var attempt = 1
    private var previousWait: Duration?

    /// An attempt failed.
    ///
    /// - Parameters:
    ///   - failure: What is known of it.
    ///   - configuration: The policy's configuration.
    ///   - remaining: The nanoseconds left until the deadline; nil without one.
    ///   - isSuppressed: Whether the call is itself an extra attempt of a policy further out, which then decides.
    ///   - random: Where jitter comes from.
    /// - Returns: What to do now.
    func attemptFailed(
        _ failure: Failure,
        configuration: RetryConfiguration,
        remaining: Int64?,
        isSuppressed: Bool,
        random: RandomSource
    ) -> Action {
        var floor = Duration.zero
        if case .retryAfter(let wait) = failure.decision { floor = wait }
        if failure.isRejection {
            let longest = configuration.maximumRejectionWait
            let mayWait = failure.decision != .stop && longest > .zero && floor <= longest
            // Without an attempt that was sent there is no story to tell.
            if !mayWait { return attempt == 1 ? .rethrow : .giveUp(.rejected) }
        }
        if failure.decision == .stop { return .rethrow }
        // Before anything else, and said by an error that ends the policies further out as well.
        if configuration.idempotency == .notIdempotent, failure.mayHaveBeenSent { return .giveUp(.mayHaveBeenSent) }
        if isSuppressed { return .rethrow }
        if attempt >= configuration.maxAttempts { return .giveUp(.attemptsExhausted) }
        if !failure.isRejection, floor > configuration.maximumRetryAfter { return .giveUp(.retryAfterTooLong) }
        let backoff = failure.isThrottled ? configuration.throttledBackoff : configuration.backoff
        let wait = max(
            backoff.wait(afterAttempt: attempt, previous: previousWait, random: random).saturatingNanoseconds,
            backoff.wait(noLessThan: floor, random: random).saturatingNanoseconds
        )
        // A wait that ends at the deadline leaves no time for the attempt.
        let needed = wait.saturatingAdd(configuration.minimumAttempt.saturatingNanoseconds)
        if let remaining, remaining <= needed { return .giveUp(.deadlineTooClose) }
        return .retry(after: wait)
    }

    /// The wait is over, and the next attempt begins.
    mutating func attemptBegins(after wait: Int64) {
        attempt += 1
        previousWait = .nanoseconds(wait)
    }
}
