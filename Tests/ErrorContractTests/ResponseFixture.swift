import ReliabilityCore

/// The request ID of the tests' responses.
let requestID = CorrelationID("request-1") ?? .random()

extension Array<UInt8> {
    /// The body as text.
    var text: String { String(decoding: self, as: UTF8.self) }
}
