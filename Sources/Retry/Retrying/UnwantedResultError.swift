public import ReliabilityCore

/// A result that means a failure, in the list of the attempts of a call.
///
/// No policy throws this error. A call returns its last result unchanged.
public struct UnwantedResultError: ReliabilityError, CustomStringConvertible {
    /// The kind of failure that the result means.
    public let category: ErrorCategory
    /// The wait that the dependency asked for, or `nil` if the result asks for no wait.
    public let retryAfter: Duration?

    /// Creates an error for a result.
    ///
    /// - Parameters:
    ///   - category: The kind of failure that the result means. The category decides whether the call is retried and
    ///     counts as a failure. Defaults to `unavailable`.
    ///   - retryAfter: The wait that the dependency asked for, or `nil` if the result asks for no wait.
    public init(_ category: ErrorCategory = .unavailable, retryAfter: Duration? = nil) {
        self.category = category
        self.retryAfter = retryAfter
    }

    init(_ decision: RetryDecision) {
        if case .retryAfter(let wait) = decision {
            self.init(.rateLimited, retryAfter: wait)
        } else {
            self.init(.unavailable)
        }
    }

    /// The code `retry.unwanted_result`.
    public var code: ErrorCode { "retry.unwanted_result" }

    /// The message for clients.
    public var message: String { Self.unavailableMessage }

    /// The code and the category, for logs.
    public var description: String { "\(code): \(category)" }
}
