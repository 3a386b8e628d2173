/// A webhook whose signature was verified.
public struct WebhookEvent: Hashable, Sendable {
    /// The identity by which repeated deliveries are recognized.
    ///
    /// The identity is an identifier of the provider, or the digest of the body in hexadecimal digits.
    public let id: String
    /// The type, or `nil` if the message has none.
    public let type: String?
    /// A Boolean value that indicates whether ``type`` comes from signed bytes.
    public let isTypeSigned: Bool
    /// The time of the attempt in Unix seconds, or `nil` if the scheme has none.
    public let timestamp: Int64?
    /// The time of the receiver minus ``timestamp`` in seconds, or `nil` if the scheme has no times.
    ///
    /// A constant difference shows that a clock is wrong.
    public let clockOffset: Int64?
    /// The name of the secret that verified the message.
    public let secretName: String
    /// The text that the answer must contain, or `nil` for a message that asks for no such answer.
    ///
    /// The text has up to 255 bytes and any characters. Answer with the type `text/plain`.
    public let challenge: String?
    /// The body as received.
    public let body: [UInt8]
}
