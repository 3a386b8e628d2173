/// An error that says what kind of thing went wrong, in words a client may see.
///
/// Every error of this library conforms. Conform your own domain errors to it, and the error contract renders them,
/// the retry policy classifies them and the circuit breaker weighs them, with no further code.
public protocol ReliabilityError: Error {
    /// A stable, machine-readable code, such as `circuit_breaker.open`.
    ///
    /// Codes are never renamed.
    var code: ErrorCode { get }

    /// The kind of failure; it decides the HTTP status and whether trying again can help.
    var category: ErrorCategory { get }

    /// One sentence that is safe to show to a client: no names of tables, files, hosts or types, no input.
    var message: String { get }

    /// How long to wait before trying again, when the one who refused said so.
    var retryAfter: Duration? { get }

    /// What is wrong with each part of the input, when the input is what is wrong.
    var details: [ErrorDetail] { get }

    /// The error that caused this one.
    ///
    /// It is for logs, never for the wire.
    var underlyingError: (any Error)? { get }

    /// Whether a policy rejected the call before it reached the dependency.
    ///
    /// A rejection is no evidence against the dependency.
    var isRejection: Bool { get }

    /// Whether the call that threw the error may have had an effect.
    ///
    /// The error speaks for the call that threw it, and for no call around that one: a circuit breaker that rejects a
    /// call proves nothing about an operation that had sent something before it came to that breaker. So a retry of a
    /// call that must not happen twice believes an error of the operation only if the error is no rejection.
    var mayHaveBeenSent: Bool { get }
}

extension ReliabilityError {
    /// No hint.
    public var retryAfter: Duration? { nil }
    /// No details.
    public var details: [ErrorDetail] { [] }
    /// No cause.
    public var underlyingError: (any Error)? { nil }
    /// Not a rejection.
    public var isRejection: Bool { false }
    /// `true` unless the error is a rejection.
    public var mayHaveBeenSent: Bool { !isRejection }
}

/// A stable machine-readable error code, such as `retry.exhausted`.
public struct ErrorCode: RawRepresentable, Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The code's text.
    public let rawValue: String

    /// Creates a code from its text.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// Creates a code from a literal.
    public init(stringLiteral value: String) { rawValue = value }

    /// The code's text.
    public var description: String { rawValue }
}

/// The kind of a failure.
///
/// The set is open: compare with the static members, and expect others.
public struct ErrorCategory: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The category's name.
    public let rawValue: String

    /// Creates a category from its name.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The category's name.
    public var description: String { rawValue }

    /// The input is wrong.
    public static let invalid = ErrorCategory(rawValue: "invalid")
    /// The caller did not say who it is.
    public static let unauthenticated = ErrorCategory(rawValue: "unauthenticated")
    /// The caller may not do this.
    public static let forbidden = ErrorCategory(rawValue: "forbidden")
    /// There is no such thing.
    public static let notFound = ErrorCategory(rawValue: "not_found")
    /// The request contradicts what is there now.
    public static let conflict = ErrorCategory(rawValue: "conflict")
    /// What the caller required to be true is not.
    public static let preconditionFailed = ErrorCategory(rawValue: "precondition_failed")
    /// The input is too large.
    public static let tooLarge = ErrorCategory(rawValue: "too_large")
    /// The input is well formed but contradicts itself, or an earlier request.
    public static let unprocessable = ErrorCategory(rawValue: "unprocessable")
    /// The caller asked too often.
    public static let rateLimited = ErrorCategory(rawValue: "rate_limited")
    /// The answer did not come in time.
    public static let timeout = ErrorCategory(rawValue: "timeout")
    /// A part that is needed is not available now.
    public static let unavailable = ErrorCategory(rawValue: "unavailable")
    /// The caller went away.
    public static let cancelled = ErrorCategory(rawValue: "cancelled")
    /// Something went wrong inside.
    public static let `internal` = ErrorCategory(rawValue: "internal")
}

/// What is wrong with one part of the input.
public struct ErrorDetail: Hashable, Sendable {
    /// Where in the input: a JSON Pointer (RFC 6901), such as `/items/0/quantity`.
    ///
    /// Empty for the whole.
    public let pointer: String
    /// A stable machine-readable code, such as `number.too_large`.
    public let code: ErrorCode
    /// One sentence that is safe to show to a client.
    public let message: String

    /// Creates a detail.
    public init(pointer: String, code: ErrorCode, message: String) {
        self.pointer = pointer
        self.code = code
        self.message = message
    }
}
