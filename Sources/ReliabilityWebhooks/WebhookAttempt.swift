/// An attempt to deliver a webhook, as the delivery log records the attempt.
public struct WebhookAttempt: Hashable, Sendable {
    /// The identity of the message.
    public let messageID: String
    /// The type of the message.
    public let type: String
    /// The number of the attempt among those that count, from 1.
    public let number: Int
    /// The time of the attempt in Unix seconds.
    public let unixSeconds: Int64
    /// The time until the response or the failure.
    public let duration: Duration
    /// The HTTP status, or `nil` if there was no response.
    public let status: Int?
    /// The failure, or `nil` if the endpoint accepted the message.
    public let error: WebhookDeliveryError?
    /// The identities of the keys that signed the attempt, the newest first.
    public let keyIDs: [String]
    /// The kind of the address, or `nil` if there was no response.
    public let addressKind: WebhookAddress.Kind?
    /// The first 512 bytes of the response's body, or an empty array unless the configuration asks for the bytes.
    public let responseStart: [UInt8]
}
