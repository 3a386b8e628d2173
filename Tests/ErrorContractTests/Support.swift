import ReliabilityCore

/// An error that says of itself what a test wants it to.
struct SampleError: ReliabilityError {
    var code: ErrorCode = "order.refused"
    var category = ErrorCategory.invalid
    var message = "The order was refused."
    var retryAfter: Duration?
    var details: [ErrorDetail] = []
    var isTruncated = false
    var underlyingError: (any Error)?
}

let requestID = CorrelationID("request-1") ?? .random()

extension Array<UInt8> {
    /// The body as text.
    var text: String { String(decoding: self, as: UTF8.self) }
}
