public import ReliabilityCore

/// A call failed after several attempts and is not tried again, although another attempt might have helped.
///
/// It tells the whole story: every attempt, how long each ran, the waits between them, and the rule that ended the call.
/// Thrown as they are, without this wrapper, are an error that no attempt can help, the error of a call that made one
/// attempt, and the last rejection of a call whose operation never began: a pipeline knows that.
public struct RetryError: InnerCallError, AttemptsError, CustomStringConvertible {
    /// Why there is no further attempt.
    ///
    /// The set may grow.
    @nonexhaustive
    public enum Reason: Hashable, Sendable {
        /// The configured number of attempts was made.
        case attemptsExhausted
        /// The call is not idempotent, and the last attempt may have been sent.
        case mayHaveBeenSent
        /// The deadline has passed, or the next wait and the attempt after it do not fit before it.
        case deadlineTooClose
        /// The dependency asked for a longer wait than the configuration allows.
        case retryAfterTooLong
        /// Another policy rejected the last attempt, such as a circuit breaker that had opened.
        case rejected
        /// The retries and hedges of all calls that share the budget have used it up.
        case budgetExhausted
    }

    /// Why there is no further attempt.
    public let reason: Reason
    /// What the last attempt threw.
    public let lastError: any Error
    private let history: RetryHistory
    /// What the last error means, if it says something of itself or was mapped.
    private let known: (any ReliabilityError)?

    init(_ reason: Reason, _ history: RetryHistory, lastError: any Error, meaning: any Error) {
        self.reason = reason
        self.history = history
        self.lastError = lastError
        known = meaning as? any ReliabilityError
    }

    /// The attempts, in order: all of them up to 20, of more the first 10 and the last 10.
    public var attempts: [RetryAttempt] { history.attempts }

    /// How many attempts were made.
    public var attemptCount: Int { history.count }

    /// How long the attempts ran, together.
    public var timeRunning: Duration { .nanoseconds(history.running) }

    /// How long the policy waited between attempts, together.
    public var timeWaiting: Duration { .nanoseconds(history.waiting) }

    package var decidingError: any Error { known ?? lastError }

    /// A code such as `retry.exhausted`.
    public var code: ErrorCode {
        switch reason {
        case .attemptsExhausted: "retry.exhausted"
        case .mayHaveBeenSent: "retry.may_have_been_sent"
        case .deadlineTooClose: "retry.deadline_too_close"
        case .retryAfterTooLong: "retry.retry_after_too_long"
        case .rejected: "retry.rejected"
        case .budgetExhausted: "retry.budget_exhausted"
        }
    }

    /// What the failure is to a client of this service.
    ///
    /// | category of the last error | category |
    /// |---|---|
    /// | `timeout`, and one of your own | the same |
    /// | `internal`, `cancelled`, or no `ReliabilityError` | `internal`: it may be a fault of this service |
    /// | any other, such as `rateLimited` or `conflict` | `unavailable`: the client of this service is not at fault |
    public var category: ErrorCategory { .ofServiceFailure(known) }

    /// A constant sentence.
    public var message: String { "The service is not available at the moment." }

    /// The last error's hint, or `nil` if the category is `internal`.
    public var retryAfter: Duration? { category == .internal ? nil : known?.retryAfter }

    /// What the last attempt threw.
    public var underlyingError: (any Error)? { lastError }

    /// Whether every attempt ended in a rejection by a policy.
    ///
    /// The call then says nothing about the dependency. A rejection may come from inside an operation that had sent
    /// something before: ``mayHaveBeenSent`` says whether something may have been sent.
    public var isRejection: Bool { history.isRejected }

    /// Whether any attempt may have had an effect.
    public var mayHaveBeenSent: Bool { history.mayHaveBeenSent }

    /// The rule, the times and the attempts in one line, for logs.
    public var description: String {
        let rule =
            switch reason {
            case .attemptsExhausted: "no attempt is left"
            case .mayHaveBeenSent: "the call is not idempotent and may have been sent"
            case .deadlineTooClose: "another attempt does not fit before the deadline"
            case .retryAfterTooLong: "the wait that was asked for is longer than allowed"
            case .rejected: "another policy rejected the last attempt"
            case .budgetExhausted: "the retry budget, which is this process's own, is used up"
            }
        var texts = attempts.map(\.description)
        if attemptCount > texts.count { texts.insert("… \(attemptCount - texts.count) more …", at: RetryHistory.kept) }
        let story = texts.joined(separator: "; ")
        let times = "ran \(timeRunning.text), waited \(timeWaiting.text)"
        return "\(code): \(rule) after \(attemptCount) attempt(s), \(times): \(story)"
    }
}

extension ErrorCategory {
    /// The category of a call that failed after several attempts, the last or decisive of which threw `error`.
    static func ofServiceFailure(_ error: (any ReliabilityError)?) -> ErrorCategory {
        guard let category = error?.category, category != .cancelled else { return .internal }
        return category == .rateLimited || category.isFaultOfRequest ? .unavailable : category
    }
}
