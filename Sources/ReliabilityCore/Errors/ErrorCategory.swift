/// The kind of a failure.
///
/// The category decides how every part of this library treats an error:
///
/// | category | HTTP status | retried | counted by a circuit breaker | answered by a fallback |
/// |---|---|---|---|---|
/// | ``invalid`` | 400 | no | success | no |
/// | ``unauthenticated`` | 401 | no | success | no |
/// | ``forbidden`` | 403 | no | success | no |
/// | ``notFound`` | 404 | no | success | no |
/// | ``conflict`` | 409 | no | success | no |
/// | ``preconditionFailed`` | 412 | no | success | no |
/// | ``tooLarge`` | 413 | no | success | no |
/// | ``unprocessable`` | 422 | no | success | no |
/// | ``rateLimited`` | 429 | yes | ignored | yes |
/// | ``unavailable`` | 503 | yes | failure | yes |
/// | ``timeout`` | 504 | yes | failure | yes |
/// | ``cancelled`` | 499 | no | failure | yes |
/// | ``internal`` | 500 | no | failure | yes |
///
/// An error that does not conform to ``ReliabilityError`` is retried, counts as a failure and has the status 500.
///
/// The set of categories is open. Compare with the static members and expect other values. Another category has no HTTP
/// status of its own. An error of another category is not retried and counts as a failure.
public struct ErrorCategory: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The category's name.
    public let rawValue: String

    /// Creates a category from a name.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The category's name.
    public var description: String { rawValue }

    /// The input is invalid.
    public static let invalid = ErrorCategory(rawValue: "invalid")
    /// The caller is not authenticated.
    public static let unauthenticated = ErrorCategory(rawValue: "unauthenticated")
    /// The caller is not allowed to do this.
    public static let forbidden = ErrorCategory(rawValue: "forbidden")
    /// The requested resource does not exist.
    public static let notFound = ErrorCategory(rawValue: "not_found")
    /// The request conflicts with the present state.
    public static let conflict = ErrorCategory(rawValue: "conflict")
    /// A precondition that the caller stated is false.
    public static let preconditionFailed = ErrorCategory(rawValue: "precondition_failed")
    /// The input is too large.
    public static let tooLarge = ErrorCategory(rawValue: "too_large")
    /// The input is well formed and contradicts itself or an earlier request.
    public static let unprocessable = ErrorCategory(rawValue: "unprocessable")
    /// The caller sent too many requests.
    public static let rateLimited = ErrorCategory(rawValue: "rate_limited")
    /// The answer did not arrive in time.
    public static let timeout = ErrorCategory(rawValue: "timeout")
    /// A required part is not available at the moment.
    public static let unavailable = ErrorCategory(rawValue: "unavailable")
    /// The caller cancelled the request.
    public static let cancelled = ErrorCategory(rawValue: "cancelled")
    /// An unexpected failure inside the service.
    public static let `internal` = ErrorCategory(rawValue: "internal")
}
