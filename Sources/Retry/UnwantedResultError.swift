public import ReliabilityCore

/// Stands for a result that means a failure, among the errors of the attempts.
///
/// No policy throws it: the last result is returned as it is.
public struct UnwantedResultError: ReliabilityError, CustomStringConvertible {
    /// What kind of failure the result means.
    public let category: ErrorCategory
    /// How long the dependency asked to wait, or `nil` if the result did not say.
    public let retryAfter: Duration?

    /// Creates an error that stands for a result.
    ///
    /// - Parameters:
    ///   - category: What kind of failure the result means; it decides whether the call is tried again and counts as a
    ///     failure. Defaults to `unavailable`.
    ///   - retryAfter: How long the dependency asked to wait, or `nil` if the result did not say.
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

    /// A constant sentence.
    public var message: String { "The service is not available at the moment." }

    /// The code and the category, for logs.
    public var description: String { "\(code): \(category)" }
}
