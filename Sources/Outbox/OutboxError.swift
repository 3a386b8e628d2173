public import ReliabilityCore

/// Why a delivery failed, or a message is dead, when it is not what the handler threw.
public struct OutboxError: ReliabilityError, CustomStringConvertible {
    /// Why.
    ///
    /// The set may grow.
    @nonexhaustive
    public enum Reason: Hashable, Sendable {
        /// The handler took too long and was cancelled.
        case timeLimitExceeded
        /// As many deliveries as are allowed began, and in none of them did the process live to say how it ended.
        case attemptsExhausted
        /// The record is not a message of a format that is known.
        case unreadable
    }

    /// Why.
    public let reason: Reason
    /// What the handler threw when it was cancelled.
    public let underlyingError: (any Error)?

    init(_ reason: Reason, underlyingError: (any Error)? = nil) {
        self.reason = reason
        self.underlyingError = underlyingError
    }

    /// A code such as `outbox.time_limit_exceeded`.
    public var code: ErrorCode {
        switch reason {
        case .timeLimitExceeded: "outbox.time_limit_exceeded"
        case .attemptsExhausted: "outbox.attempts_exhausted"
        case .unreadable: "outbox.unreadable"
        }
    }

    /// `timeout`, or `internal`.
    public var category: ErrorCategory { reason == .timeLimitExceeded ? .timeout : .internal }

    /// A constant sentence.
    public var message: String { "The message could not be delivered." }

    /// The code and the cause, for logs.
    public var description: String { underlyingError.map { "\(code): \($0)" } ?? code.description }
}
