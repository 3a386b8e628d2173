public import ReliabilityCore

/// An error of a ``ScriptedDependency``.
public struct DependencyError: ReliabilityError, Hashable, CustomStringConvertible {
    /// The reason of an error.
    @nonexhaustive
    public enum Reason: Hashable, Sendable {
        /// The dependency answered with a failure.
        case failed
        /// The dependency did not accept the connection, so the call was not sent.
        case refused
        /// The dependency asked the caller to retry later.
        case throttled(retryAfter: Duration?)
        /// The connection broke before the answer.
        case disconnected
    }

    /// The reason of the error.
    public let reason: Reason

    init(_ reason: Reason) { self.reason = reason }

    /// A code such as `dependency.failed`.
    public var code: ErrorCode {
        switch reason {
        case .failed: "dependency.failed"
        case .refused: "dependency.refused"
        case .throttled: "dependency.throttled"
        case .disconnected: "dependency.disconnected"
        }
    }

    /// `rateLimited` if the dependency asked the caller to retry later, otherwise `unavailable`.
    public var category: ErrorCategory {
        if case .throttled = reason { .rateLimited } else { .unavailable }
    }

    /// The same message for all reasons.
    public var message: String { Self.unavailableMessage }

    /// The wait that the dependency asked for, or `nil` if the dependency asked for no wait.
    public var retryAfter: Duration? {
        if case .throttled(let retryAfter) = reason { retryAfter } else { nil }
    }

    /// A Boolean value that indicates whether the call may have reached the dependency.
    ///
    /// The value is `false` if the dependency did not accept the connection or throttled the call.
    public var mayHaveBeenSent: Bool {
        switch reason {
        case .failed, .disconnected: true
        case .refused, .throttled: false
        }
    }

    /// The code.
    public var description: String { "\(code)" }
}
