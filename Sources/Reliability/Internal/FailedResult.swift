internal import ReliabilityCore
internal import Retry

/// The error that stands for a failed result, for the policies around the operation.
///
/// The error does not contain the result, because the result may not be `Sendable`.
struct FailedResult: ReliabilityError, CustomStringConvertible {
    private let failure: any ReliabilityError

    private init(_ failure: any ReliabilityError) { self.failure = failure }

    /// Returns the error for a failed result, which policies treat like the failure itself.
    static func error(for failure: any ReliabilityError) -> any Error {
        let result = FailedResult(failure)
        return failure is any NotSentStatement ? NotSentError(result) : result
    }

    var code: ErrorCode { failure.code }
    var category: ErrorCategory { failure.category }
    var message: String { failure.message }
    var retryAfter: Duration? { failure.retryAfter }
    var details: [ErrorDetail] { failure.details }
    var underlyingError: (any Error)? { failure.underlyingError }
    var isRejection: Bool { failure.isRejection }
    var mayHaveBeenSent: Bool { failure.leavesOperationPossiblySent }
    var description: String { "a result that means \(failure)" }

    /// Returns a Boolean value that indicates whether a failed result is the cause of an error that a policy threw.
    static func isCause(of error: any Error) -> Bool {
        var cause: (any Error)? = error
        // The limit exceeds the depth of nested policies. It ends a cycle of causes.
        for _ in 0..<32 {
            if cause is FailedResult { return true }
            cause = cause?.reliability?.underlyingError
        }
        return false
    }
}
