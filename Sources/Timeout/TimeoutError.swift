public import ReliabilityCore

/// A call did not end before its deadline.
///
/// It is thrown when the deadline cancelled the call and the call then failed. A call that succeeds late returns its
/// value, and one whose caller was cancelled throws its own error.
public struct TimeoutError: ReliabilityError, CustomStringConvertible {
    /// The deadline that was missed.
    public let deadline: Deadline

    /// What the call threw after it had been cancelled; nil when it was never begun, or abandoned.
    public let underlyingError: (any Error)?

    /// Whether the call may still be under way: its caller has walked away from it.
    public let isAbandoned: Bool

    /// The call was begun, was cancelled, and failed; or it was never begun, when there is no error.
    init(deadline: Deadline, underlyingError: (any Error)? = nil) {
        self.deadline = deadline
        self.underlyingError = underlyingError
        isAbandoned = false
    }

    /// The call did not end within its grace.
    init(abandonedAt deadline: Deadline) {
        self.deadline = deadline
        underlyingError = nil
        isAbandoned = true
    }

    /// The code `timeout.expired`.
    public var code: ErrorCode { "timeout.expired" }

    /// The category `timeout`.
    public var category: ErrorCategory { .timeout }

    /// A constant sentence.
    public var message: String { "The request took too long." }

    /// Whether the deadline had passed before the call was begun: that says nothing about the dependency.
    public var isRejection: Bool { underlyingError == nil && !isAbandoned }

    /// Whether the call may have had an effect: not if it was never begun, nor if what it threw says that it was not sent.
    public var mayHaveBeenSent: Bool {
        if let known = underlyingError as? any ReliabilityError { return known.mayHaveBeenSent }
        return !isRejection
    }

    /// The code and what the call threw, for logs.
    public var description: String {
        if isAbandoned {
            "\(code): the call was cancelled, did not end within its grace, and was abandoned"
        } else if let underlyingError {
            "\(code): the call was cancelled and threw \(underlyingError)"
        } else {
            "\(code): the deadline had passed before the call was begun"
        }
    }
}
