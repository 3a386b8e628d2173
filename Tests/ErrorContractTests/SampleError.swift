import ReliabilityCore

/// An error with the properties that a test sets.
struct SampleError: ReliabilityError {
    var code: ErrorCode = "order.rejected"
    var category = ErrorCategory.invalid
    var message = "The order was rejected."
    var retryAfter: Duration?
    var details: [ErrorDetail] = []
    var isTruncated = false
    var underlyingError: (any Error)?
}

/// An error of another library, with a text that must not reach a client.
final class ForeignError: Error, Sendable {
    let text: String
    init(_ text: String) { self.text = text }
}

extension ErrorCategory {
    static let gone = ErrorCategory(rawValue: "gone")
    static let upstream = ErrorCategory(rawValue: "upstream")
}
