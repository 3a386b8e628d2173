public import ReliabilityCore

/// A failure that the operation knows to have come before anything was sent.
///
/// A call that is ``Idempotency/notIdempotent`` is tried again after it.
///
/// ```swift
/// let retry = RetryPolicy(.notIdempotent)
/// let receipt = try await retry.run {
///     let connection: Connection
///     do { connection = try await connect() } catch { throw NotSentError(error) }
///     return try await connection.post(order)
/// }
/// ```
///
/// It is evidence against the dependency, which could not be reached, unlike a refusal by one of our own policies.
public struct NotSentError: ReliabilityError, NotSentStatement, CustomStringConvertible {
    /// What went wrong.
    public let underlyingError: (any Error)?

    private let known: (any ReliabilityError)?

    /// Wraps what went wrong.
    ///
    /// - Parameter error: What went wrong before anything was sent, such as a refused connection.
    public init(_ error: any Error) {
        underlyingError = error
        known = error as? any ReliabilityError
    }

    /// The code `retry.not_sent`.
    public var code: ErrorCode { "retry.not_sent" }

    /// The wrapped error's category; `unavailable` where it has none.
    public var category: ErrorCategory { known?.category ?? .unavailable }

    /// A constant sentence.
    public var message: String { "The service is not available at the moment." }

    /// The wrapped error's hint.
    public var retryAfter: Duration? { known?.retryAfter }

    /// Whether the wrapped error is a refusal by one of our own policies.
    public var isRejection: Bool { known?.isRejection ?? false }

    /// No.
    public var mayHaveBeenSent: Bool { false }

    /// The code and the wrapped error, for logs.
    public var description: String { underlyingError.map { "\(code): \($0)" } ?? code.rawValue }
}
