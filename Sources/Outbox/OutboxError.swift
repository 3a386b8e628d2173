public import ReliabilityCore

/// The failure of a delivery that did not fail with an error of the handler.
public struct OutboxError: ReliabilityError, CustomStringConvertible {
    /// The cause of the failure.
    @nonexhaustive
    public enum Reason: Hashable, Sendable {
        /// The handler exceeded the delivery timeout and was cancelled.
        case deliveryTimedOut
        /// The allowed number of deliveries began, and the last of them was never settled.
        case attemptsExhausted
        /// The record is not a message of a known format.
        case unreadable
    }

    /// The cause of the failure.
    public let reason: Reason
    /// The error of the handler after its cancellation, or `nil` if there is none.
    public let underlyingError: (any Error)?

    init(_ reason: Reason, underlyingError: (any Error)? = nil) {
        self.reason = reason
        self.underlyingError = underlyingError
    }

    /// A code such as `outbox.delivery_timed_out`.
    public var code: ErrorCode {
        switch reason {
        case .deliveryTimedOut: "outbox.delivery_timed_out"
        case .attemptsExhausted: "outbox.attempts_exhausted"
        case .unreadable: "outbox.unreadable"
        }
    }

    /// The category `timeout` or `internal`.
    public var category: ErrorCategory { reason == .deliveryTimedOut ? .timeout : .internal }

    /// The message for clients.
    public var message: String { "The message could not be delivered." }

    /// The code and the underlying error, for logs.
    public var description: String { underlyingError.map { "\(code): \($0)" } ?? code.description }
}
