public import ReliabilityCore

/// The error of a call that did not succeed before its deadline.
///
/// A call throws `TimeoutError` if it fails or is abandoned at or after its deadline, or if no time is left at the
/// start. A call that succeeds late returns its value. A call whose caller was cancelled first throws its own error.
public struct TimeoutError: ReliabilityError, CustomStringConvertible {
    /// The deadline of the call.
    public let deadline: Deadline

    /// The error that the call threw at or after its deadline, or `nil` if the call never began or was abandoned.
    public let underlyingError: (any Error)?

    private let wasAbandoned: Bool

    /// A Boolean value that indicates whether the call, or a call inside the call, was abandoned.
    ///
    /// An abandoned call may still run.
    public var isAbandoned: Bool {
        if wasAbandoned { return true }
        var next = underlyingError
        // Bounded, because the errors of a user may form a cycle.
        for _ in 0..<16 {
            if let timeout = next as? TimeoutError, timeout.wasAbandoned { return true }
            guard let error = next?.reliability else { return false }
            next = error.underlyingError
        }
        return false
    }

    /// Creates the error of a call that failed, or of a call that never began if `underlyingError` is `nil`.
    init(deadline: Deadline, underlyingError: (any Error)? = nil) {
        self.deadline = deadline
        self.underlyingError = underlyingError
        wasAbandoned = false
    }

    /// Creates the error of a call that did not end within its grace period.
    init(abandonedAt deadline: Deadline) {
        self.deadline = deadline
        underlyingError = nil
        wasAbandoned = true
    }

    /// The code `timeout.expired`.
    public var code: ErrorCode { "timeout.expired" }

    /// The category `timeout`.
    public var category: ErrorCategory { .timeout }

    /// The message for clients, which is the same for every timeout.
    public var message: String { "The request took too long." }

    /// A Boolean value that indicates whether the deadline had passed before the call began.
    ///
    /// A rejection is no evidence about the dependency.
    public var isRejection: Bool { underlyingError == nil && !wasAbandoned }

    /// A Boolean value that indicates whether the call may have had an effect.
    ///
    /// The value is `false` if the call never began. For a call that began, the value is `true` unless the call's error
    /// states for the whole operation that nothing was sent, as `NotSentError` does. A rejection from inside the call
    /// is no such statement.
    public var mayHaveBeenSent: Bool {
        if let underlyingError { return underlyingError.leavesOperationPossiblySent }
        return wasAbandoned
    }

    /// The code and the call's own error, for logs.
    public var description: String {
        if wasAbandoned {
            "\(code): the call was cancelled, did not end within its grace period, and was abandoned"
        } else if let underlyingError {
            "\(code): the call was cancelled and threw \(underlyingError)"
        } else {
            "\(code): the deadline had passed before the call began"
        }
    }
}
