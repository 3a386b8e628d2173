internal import ReliabilityCore

/// The state of one call: the number of the attempt and the last wait.
struct RetryStateMachine {
    /// A failed attempt.
    struct Failure {
        /// The decision of the classification.
        var decision: RetryDecision
        /// A Boolean value that indicates whether the attempt may have had an effect.
        var mayHaveBeenSent = true
        /// The category of the error, or `nil` if the error has no category.
        var category: ErrorCategory?
        /// A Boolean value that indicates whether a policy rejected the attempt.
        var isRejection = false

        /// A Boolean value that indicates whether the dependency asked for fewer calls.
        var isThrottled: Bool {
            // A rejection by our own limiter has an exact `retryAfter` and needs no longer backoff.
            category == .rateLimited && !isRejection
        }

        /// The cost of another attempt.
        var cost: RetryCost {
            switch category {
            case .timeout?: .timeout
            case .rateLimited?: .throttled
            default: .transient
            }
        }
    }

    /// The next step after a failed attempt.
    enum Action: Hashable {
        /// Wait this number of nanoseconds and make another attempt.
        case retry(after: Int64)
        /// Throw the error of the attempt.
        case rethrow
        /// Throw a `RetryError`.
        case giveUp(RetryError.Reason)
    }

    private(set) var attempt = 1
    private var previousWait: Duration?

    /// Decides the next step after a failed attempt.
    ///
    /// - Parameters:
    ///   - failure: The failed attempt.
    ///   - configuration: The configuration of the policy.
    ///   - remaining: The nanoseconds until the deadline, or `nil` without a deadline.
    ///   - isSuppressed: `true` if the call is part of an extra attempt of an enclosing policy, which decides instead.
    ///   - random: The source of randomness for jitter.
    /// - Returns: The next step.
    func attemptFailed(
        _ failure: Failure,
        configuration: RetryPolicy.Configuration,
        remaining: Int64?,
        isSuppressed: Bool,
        random: RandomSource
    ) -> Action {
        var floor = Duration.zero
        if case .retryAfter(let wait) = failure.decision { floor = wait }
        if failure.isRejection {
            let longest = configuration.maxRejectionWait
            let mayWait = failure.decision != .stop && longest > .zero && floor <= longest
            // A call with a single, rejected attempt throws the rejection itself.
            if !mayWait { return attempt == 1 ? .rethrow : .giveUp(.rejected) }
        }
        if failure.decision == .stop { return .rethrow }
        // Before the other rules, because the resulting error also stops the enclosing policies.
        if configuration.idempotency == .notIdempotent, failure.mayHaveBeenSent { return .giveUp(.mayHaveBeenSent) }
        if isSuppressed { return .rethrow }
        if attempt >= configuration.maxAttempts { return .giveUp(.attemptsExhausted) }
        if !failure.isRejection, floor > configuration.maxRetryAfter { return .giveUp(.retryAfterTooLong) }
        let backoff = failure.isThrottled ? configuration.throttledBackoff : configuration.backoff
        let wait = max(
            backoff.wait(afterAttempt: attempt, previous: previousWait, random: random).saturatingNanoseconds,
            backoff.wait(noLessThan: floor, random: random).saturatingNanoseconds
        )
        // A wait that ends at the deadline leaves no time for the attempt.
        let needed = wait.saturatingAdd(configuration.minAttemptDuration.saturatingNanoseconds)
        if let remaining, remaining <= needed { return .giveUp(.deadlineTooClose) }
        return .retry(after: wait)
    }

    /// Records the start of the next attempt.
    ///
    /// - Parameter wait: The wait before the attempt in nanoseconds.
    mutating func attemptStarted(after wait: Int64) {
        attempt += 1
        previousWait = .nanoseconds(wait)
    }
}
