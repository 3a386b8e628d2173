public import ReliabilityCore

/// A call did not end before its deadline.
///
/// It is thrown when the deadline cancelled the call and the call then failed. A call that succeeds late returns its
/// value, and one whose caller was cancelled throws its own error.
public struct TimeoutError: ReliabilityError, CustomStringConvertible {
    /// The deadline that was missed.
    public let deadline: Deadline

    /// What the call threw after it had been cancelled; nil when it was never begun.
    public let underlyingError: (any Error)?

    init(deadline: Deadline, underlyingError: (any Error)?) {
        self.deadline = deadline
        self.underlyingError = underlyingError
    }

    /// The code `timeout.expired`.
    public var code: ErrorCode { "timeout.expired" }

    /// The category `timeout`.
    public var category: ErrorCategory { .timeout }

    /// A constant sentence.
    public var message: String { "The request took too long." }

    /// Whether the deadline had passed before the call was begun: that says nothing about the dependency.
    public var isRejection: Bool { underlyingError == nil }

    /// The code and what the call threw, for logs.
    public var description: String {
        if let underlyingError {
            "\(code): the call was cancelled and threw \(underlyingError)"
        } else {
            "\(code): the deadline had passed before the call was begun"
        }
    }
}
