internal import ReliabilityCore
internal import Retry

/// A result that means a failure, as the policies around the operation see it.
///
/// The result itself stays with the call, because it need not be `Sendable`.
struct FailedResult: ReliabilityError, CustomStringConvertible {
    private let failure: any ReliabilityError

    private init(_ failure: any ReliabilityError) { self.failure = failure }

    /// The error for a result, which is judged as if the operation had thrown the failure.
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

    /// Whether a policy threw an error because the last attempt gave such a result.
    static func isCause(of error: any Error) -> Bool {
        var cause: (any Error)? = error
        // Deeper than policies nest; an error of a class could be its own cause.
        for _ in 0..<32 {
            if cause is FailedResult { return true }
            cause = (cause as? any ReliabilityError)?.underlyingError
        }
        return false
    }
}
