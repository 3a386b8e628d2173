/// The error of a call that did not wait for the result of a ``SingleFlight``.
public struct SingleFlightError: ReliabilityError, Hashable, CustomStringConvertible {
    /// The reason of the error.
    @nonexhaustive
    public enum Reason: Hashable, Sendable, CaseIterable {
        /// The deadline of the call passed.
        case deadline
        /// The call is part of the operation that the call would wait for.
        case recursive
    }

    /// The reason.
    public let reason: Reason

    init(_ reason: Reason) { self.reason = reason }

    /// The code of the reason, such as `single_flight.deadline`.
    public var code: ErrorCode {
        switch reason {
        case .deadline: "single_flight.deadline"
        case .recursive: "single_flight.recursive"
        }
    }

    /// The category `timeout`, or `internal` for an operation that waits for itself.
    public var category: ErrorCategory { reason == .recursive ? .internal : .timeout }
    /// The message for clients.
    public var message: String { reason == .recursive ? "Something went wrong." : "The request took too long." }
    /// The code for logs.
    public var description: String { "\(code)" }
}
