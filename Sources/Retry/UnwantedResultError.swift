public import ReliabilityCore

/// Stands for a result that was to be tried again, among the errors of the attempts.
///
/// ``RetryPolicy/run(retryingResult:_:)`` never throws it: it returns the last result as it is.
public struct UnwantedResultError: ReliabilityError, CustomStringConvertible {
    /// How long the dependency asked to wait, when the result said so.
    public let retryAfter: Duration?

    init(_ decision: RetryDecision) {
        if case .retryAfter(let wait) = decision { retryAfter = wait } else { retryAfter = nil }
    }

    /// The code `retry.unwanted_result`.
    public var code: ErrorCode { "retry.unwanted_result" }

    /// The category `rateLimited` when the dependency asked to wait; else `unavailable`.
    public var category: ErrorCategory { retryAfter == nil ? .unavailable : .rateLimited }

    /// A constant sentence.
    public var message: String { "The service is not available at the moment." }

    /// The code, for logs.
    public var description: String { code.rawValue }
}
