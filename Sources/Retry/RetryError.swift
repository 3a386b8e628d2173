public import ReliabilityCore

/// A call failed and is not tried again, although another attempt might have helped.
///
/// An error that no attempt can mend is thrown as it is, without this wrapper.
public struct RetryError: ReliabilityError, CustomStringConvertible {
    /// Why there is no further attempt.
    ///
    /// The set may grow.
    @nonexhaustive
    public enum Reason: Hashable, Sendable {
        /// The configured number of attempts was made.
        case attemptsExhausted
        /// The wait before the next attempt does not fit before the deadline.
        case deadlineTooClose
        /// The dependency asked for a longer wait than the configuration allows.
        case retryAfterTooLong
    }

    /// Why there is no further attempt.
    public let reason: Reason
    /// How many attempts were made.
    public let attempts: Int
    /// What the last attempt threw.
    public let lastError: any Error

    init(_ reason: Reason, attempts: Int, lastError: any Error) {
        self.reason = reason
        self.attempts = attempts
        self.lastError = lastError
    }

    /// A code such as `retry.exhausted`.
    public var code: ErrorCode {
        switch reason {
        case .attemptsExhausted: "retry.exhausted"
        case .deadlineTooClose: "retry.deadline_too_close"
        case .retryAfterTooLong: "retry.retry_after_too_long"
        }
    }

    private var known: (any ReliabilityError)? { lastError as? any ReliabilityError }

    /// The last error's category; `unavailable` where it has none.
    public var category: ErrorCategory { known?.category ?? .unavailable }

    /// A constant sentence.
    public var message: String { "The service is not available at the moment." }

    /// The last error's hint.
    public var retryAfter: Duration? { known?.retryAfter }

    /// What the last attempt threw.
    public var underlyingError: (any Error)? { lastError }

    /// Whether the last attempt was refused before it reached the dependency.
    public var isRejection: Bool { known?.isRejection ?? false }

    /// The code, the number of attempts and the last error, for logs.
    public var description: String { "\(code) after \(attempts) attempt(s): \(lastError)" }
}
