import ReliabilityCore
import Retry
import Timeout

/// An error without a category, with a unique number.
struct PlainError: Error {
    let number: Int
}

/// An error with a kind of failure and a unique number.
struct ScriptedError: ReliabilityError {
    let number: Int
    let failure: Failure

    var code: ErrorCode { "scripted" }
    var message: String { "Scripted." }

    var category: ErrorCategory {
        switch failure {
        case .declined: .unprocessable
        case .throttled: .rateLimited
        default: .unavailable
        }
    }

    var retryAfter: Duration? { if case .throttled(let wait) = failure { wait } else { nil } }

    var mayHaveBeenSent: Bool { if case .throttled = failure { false } else { true } }
}

extension Failure {
    func error(_ number: Int) -> any Error {
        switch self {
        case .plain: PlainError(number: number)
        case .notSent: NotSentError(PlainError(number: number))
        case .cancellation: CancellationError()
        case .unavailable, .throttled, .declined: ScriptedError(number: number, failure: self)
        }
    }
}

// Functions and not members of `Error`, because a member does not see the type inside an `any Error`.

/// Returns the innermost error that an error wraps, or the error itself.
func origin(of error: any Error) -> any Error {
    var error = error
    while let next = (error as? any ReliabilityError)?.underlyingError { error = next }
    return error
}

func isRejection(_ error: any Error) -> Bool { (error as? any ReliabilityError)?.isRejection ?? false }

/// A short text for a violation.
func label(_ error: any Error) -> String {
    if let error = error as? ScriptedError { return "scripted \(error.failure.source)" }
    if let error = error as? any ReliabilityError {
        return "\(error.code)\(error.underlyingError.map { " of \(label($0))" } ?? "")"
    }
    return "\(type(of: error))"
}

/// Returns whether two errors are the same error, as far as errors can be distinguished.
func isSame(_ left: any Error, _ right: any Error) -> Bool {
    switch (left, right) {
    case (let left as PlainError, let right as PlainError): left.number == right.number
    case (let left as ScriptedError, let right as ScriptedError): left.number == right.number
    case (let left as TimeoutError, let right as TimeoutError): left.deadline.instant == right.deadline.instant
    case (let left as any ReliabilityError, let right as any ReliabilityError):
        left.code == right.code && type(of: left) == type(of: right) && left.isRejection == right.isRejection
    default: type(of: left) == type(of: right)
    }
}
