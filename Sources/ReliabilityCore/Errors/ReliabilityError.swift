/// An error with a stable code, a category and a message for clients.
///
/// Every error of this library conforms to this protocol. Conform your own domain errors as well. Every policy and
/// every error response of this library then follows the error's ``category`` without further code.
public protocol ReliabilityError: Error {
    /// A stable, machine-readable code, such as `circuit_breaker.open`.
    ///
    /// The codes of this library are never renamed.
    var code: ErrorCode { get }

    /// The kind of failure, which decides the HTTP status and whether a retry can succeed.
    var category: ErrorCategory { get }

    /// A sentence that is safe to show to a client.
    ///
    /// The message contains no input and no name of a table, file, host or type.
    var message: String { get }

    /// The shortest wait before a retry, or `nil` if the error does not ask for a wait.
    var retryAfter: Duration? { get }

    /// The problems with the parts of the input.
    ///
    /// The array is empty if the input is not at fault.
    var details: [ErrorDetail] { get }

    /// A Boolean value that indicates whether ``details`` is incomplete.
    var isTruncated: Bool { get }

    /// The cause of this error, or `nil` if there is none.
    ///
    /// The cause is for logs only and is never sent to a client.
    var underlyingError: (any Error)? { get }

    /// A Boolean value that indicates whether a policy rejected the call before the call reached the dependency.
    ///
    /// A rejection does not count as a failure of the dependency.
    var isRejection: Bool { get }

    /// A Boolean value that indicates whether the call that threw the error may have had an effect.
    ///
    /// The value describes the call that threw the error and no enclosing call. If a circuit breaker rejects a call
    /// inside an operation, the operation may have sent something before that call. A retry policy for calls that are
    /// not idempotent therefore ignores the value of a rejection from inside an operation.
    var mayHaveBeenSent: Bool { get }
}

extension ReliabilityError {
    /// Defaults to `nil`: the error does not ask for a wait.
    public var retryAfter: Duration? { nil }
    /// Defaults to an empty array.
    public var details: [ErrorDetail] { [] }
    /// Defaults to `false`: all details are listed.
    public var isTruncated: Bool { false }
    /// Defaults to `nil`: there is no cause.
    public var underlyingError: (any Error)? { nil }
    /// Defaults to `false`: the error is not a rejection.
    public var isRejection: Bool { false }
    /// Defaults to `true` unless the error is a rejection.
    public var mayHaveBeenSent: Bool { !isRejection }
}

extension ReliabilityError {
    /// The message for clients of an error that hides its cause.
    package static var unavailableMessage: String { "The service is not available at the moment." }
}
