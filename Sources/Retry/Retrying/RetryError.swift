public import ReliabilityCore

/// The failure of a call that was given up after several attempts.
///
/// The error lists the attempts with their durations and waits, and gives the rule that ended the call.
///
/// Three kinds of errors are thrown without this wrapper. The first is an error that no attempt can resolve. The second
/// is the error of a call that made a single attempt. The third is the last rejection of a call in a pipeline that
/// never began its operation.
public struct RetryError: InnerCallError, AttemptsError, CustomStringConvertible {
    /// The rule that ended a call.
    @nonexhaustive
    public enum Reason: Hashable, Sendable {
        /// The configured number of attempts was made.
        case attemptsExhausted
        /// The call is not idempotent and the last attempt may have been sent.
        case mayHaveBeenSent
        /// The deadline has passed, or the next wait and attempt do not fit before the deadline.
        case deadlineTooClose
        /// The dependency asked for a longer wait than the configuration allows.
        case retryAfterTooLong
        /// Another policy rejected the last attempt, such as an open circuit breaker.
        case rejected
        /// The error of the last attempt is not retryable and states that nothing was sent, and an earlier attempt may have
        /// been sent.
        ///
        /// The last error alone would state that the call had no effect.
        case notRetryable
        /// The retry budget was exhausted by all calls that share the budget.
        case budgetExhausted
    }

    /// The rule that ended the call.
    public let reason: Reason
    /// The error of the last attempt.
    public let lastError: any Error
    private let log: AttemptLog
    /// The last error, or the error that it was mapped to, or `nil` if neither is a `ReliabilityError`.
    private let lastMeaning: (any ReliabilityError)?

    init(_ reason: Reason, _ log: AttemptLog, lastError: any Error, meaning: any Error) {
        self.reason = reason
        self.log = log
        self.lastError = lastError
        lastMeaning = meaning.reliability
    }

    /// The attempts in order.
    ///
    /// Of more than 20 attempts, the list has the first 10 and the last 10.
    public var attempts: [RetryAttempt] { log.attempts }

    /// The number of attempts.
    public var attemptCount: Int { log.count }

    /// The sum of the durations of all attempts.
    public var timeRunning: Duration { .nanoseconds(log.running) }

    /// The sum of the waits between attempts.
    public var timeWaiting: Duration { .nanoseconds(log.waiting) }

    package var decisiveError: any Error { lastMeaning ?? lastError }

    /// The code of the reason, such as `retry.exhausted`.
    public var code: ErrorCode {
        switch reason {
        case .attemptsExhausted: "retry.exhausted"
        case .mayHaveBeenSent: "retry.may_have_been_sent"
        case .deadlineTooClose: "retry.deadline_too_close"
        case .retryAfterTooLong: "retry.retry_after_too_long"
        case .rejected: "retry.rejected"
        case .notRetryable: "retry.not_retryable"
        case .budgetExhausted: "retry.budget_exhausted"
        }
    }

    /// The category of the failure for a client of this service.
    ///
    /// | category of the last error | category |
    /// |---|---|
    /// | `timeout`, `unavailable`, or a category of your own | the same |
    /// | `internal`, `cancelled`, or no `ReliabilityError` | `internal`: the fault may be in this service |
    /// | any other, such as `rateLimited` or `conflict` | `unavailable`: the client of this service is not at fault |
    public var category: ErrorCategory { .ofFailedDependency(lastMeaning) }

    /// The message for clients.
    public var message: String { Self.unavailableMessage }

    /// The wait that the last error asks for, or `nil` if the category is `internal`.
    public var retryAfter: Duration? { category == .internal ? nil : lastMeaning?.retryAfter }

    /// The error of the last attempt.
    public var underlyingError: (any Error)? { lastError }

    /// A Boolean value that indicates whether every attempt ended in a rejection by a policy.
    ///
    /// Such a call is no evidence about the dependency. The operation may still have been sent, because a rejection can
    /// come from inside an operation. See ``mayHaveBeenSent``.
    public var isRejection: Bool { log.isRejected }

    /// A Boolean value that indicates whether any attempt may have had an effect.
    public var mayHaveBeenSent: Bool { log.mayHaveBeenSent }

    /// The rule, the times and the attempts in one line, for logs.
    public var description: String {
        let rule =
            switch reason {
            case .attemptsExhausted: "no attempt is left"
            case .mayHaveBeenSent: "the call is not idempotent and may have been sent"
            case .deadlineTooClose: "another attempt does not fit before the deadline"
            case .retryAfterTooLong: "the dependency asked for a wait longer than maxRetryAfter"
            case .rejected: "another policy rejected the last attempt"
            case .notRetryable: "the last error is not retryable, and an earlier attempt may have been sent"
            case .budgetExhausted: "the retry budget of this process is exhausted"
            }
        var texts = attempts.map(\.description)
        if attemptCount > texts.count { texts.insert("… \(attemptCount - texts.count) more …", at: AttemptLog.kept) }
        let list = texts.joined(separator: "; ")
        let times = "ran \(timeRunning.text), waited \(timeWaiting.text)"
        return "\(code): \(rule) after \(attemptCount) attempt(s), \(times): \(list)"
    }
}
