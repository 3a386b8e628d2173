public import ReliabilityCore

/// A failure before the operation sent anything.
///
/// A call that is ``Idempotency/notIdempotent`` is retried after this error.
///
/// ```swift
/// let retry = RetryPolicy(.notIdempotent)
/// let receipt = try await retry.run {
///     do { try await gateway.connect() } catch { throw NotSentError(error) }
///     return try await gateway.charge(order)
/// }
/// ```
///
/// The error is evidence against the dependency, unless the wrapped error is a rejection by a policy.
public struct NotSentError: ReliabilityError, NotSentStatement, CustomStringConvertible {
    /// The wrapped error.
    public let underlyingError: (any Error)?

    private let wrapped: (any ReliabilityError)?

    /// Wraps an error.
    ///
    /// - Parameter error: The failure before anything was sent, such as a failed connection.
    public init(_ error: any Error) {
        underlyingError = error
        wrapped = error.reliability
    }

    /// The code `retry.not_sent`.
    public var code: ErrorCode { "retry.not_sent" }

    /// The category of the wrapped error, or `unavailable` if the wrapped error has no category.
    public var category: ErrorCategory { wrapped?.category ?? .unavailable }

    /// The message for clients.
    public var message: String { Self.unavailableMessage }

    /// The wait that the wrapped error asks for.
    public var retryAfter: Duration? { wrapped?.retryAfter }

    /// A Boolean value that indicates whether the wrapped error is a rejection by a policy.
    public var isRejection: Bool { wrapped?.isRejection ?? false }

    /// Always `false`.
    public var mayHaveBeenSent: Bool { false }

    /// The code and the wrapped error, for logs.
    public var description: String { underlyingError.map { "\(code): \($0)" } ?? code.rawValue }
}
