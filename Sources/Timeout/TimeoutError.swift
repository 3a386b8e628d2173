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

    private let wasAbandoned: Bool

    /// Whether the call, or a call inside it, may still be under way: its caller has walked away from the call.
    public var isAbandoned: Bool {
        if wasAbandoned { return true }
        var next = underlyingError
        // Errors of the user's may form a circle.
        for _ in 0..<16 {
            if let timeout = next as? TimeoutError, timeout.wasAbandoned { return true }
            guard let error = next as? any ReliabilityError else { return false }
            next = error.underlyingError
        }
        return false
    }

    /// The call was begun, was cancelled, and failed; or it was never begun, when there is no error.
    init(deadline: Deadline, underlyingError: (any Error)? = nil) {
        self.deadline = deadline
        self.underlyingError = underlyingError
        wasAbandoned = false
    }

    /// The call did not end within its grace.
    init(abandonedAt deadline: Deadline) {
        self.deadline = deadline
        underlyingError = nil
        wasAbandoned = true
    }

    /// The code `timeout.expired`.
    public var code: ErrorCode { "timeout.expired" }

    /// The category `timeout`.
    public var category: ErrorCategory { .timeout }

    /// A constant sentence.
    public var message: String { "The request took too long." }

    /// Whether the deadline had passed before the call was begun: that says nothing about the dependency.
    public var isRejection: Bool { underlyingError == nil && !wasAbandoned }

    /// Whether the call may have had an effect.
    ///
    /// A call that was begun may have had one, whatever rejection came from inside it. Only an error that states for the
    /// operation that nothing was sent, such as a `NotSentError`, is believed.
    public var mayHaveBeenSent: Bool {
        if let underlyingError { return underlyingError.leavesOperationPossiblySent }
        return wasAbandoned
    }

    /// The code and what the call threw, for logs.
    public var description: String {
        if wasAbandoned {
            "\(code): the call was cancelled, did not end within its grace, and was abandoned"
        } else if let underlyingError {
            "\(code): the call was cancelled and threw \(underlyingError)"
        } else {
            "\(code): the deadline had passed before the call was begun"
        }
    }
}
