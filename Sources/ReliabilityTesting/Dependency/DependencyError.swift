public import ReliabilityCore

/// What a ``ScriptedDependency`` throws.
public struct DependencyError: ReliabilityError, Hashable, CustomStringConvertible {
    /// What went wrong.
    ///
    /// The set may grow.
    @nonexhaustive
    public enum Reason: Hashable, Sendable {
        /// The dependency answered with a failure.
        case failed
        /// The connection was refused, so the call was not sent.
        case refused
        /// The dependency asked the caller to come later.
        case throttled(retryAfter: Duration?)
        /// The connection broke before there was an answer.
        case disconnected
    }

    /// What went wrong.
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

    /// `rateLimited` when the dependency asked the caller to come later, otherwise `unavailable`.
    public var category: ErrorCategory {
        if case .throttled = reason { .rateLimited } else { .unavailable }
    }

    /// A constant sentence.
    public var message: String { "The service is not available at the moment." }

    /// When the dependency asked the caller to come.
    public var retryAfter: Duration? {
        if case .throttled(let retryAfter) = reason { retryAfter } else { nil }
    }

    /// False when the connection was refused, or the call was turned away.
    public var mayHaveBeenSent: Bool {
        switch reason {
        case .failed, .disconnected: true
        case .refused, .throttled: false
        }
    }

    /// The code.
    public var description: String { "\(code)" }
}
