/// The response to the delivery of a webhook.
public struct WebhookAnswer: Sendable {
    /// The result of a delivery.
    @nonexhaustive
    public enum Outcome: Hashable, Sendable {
        /// The message was stored.
        case accepted
        /// The message was stored at an earlier delivery.
        case duplicate
        /// The inbox does not accept the type of the message.
        case ignored
        /// The message asked for an answer with its challenge.
        case challenged
        /// The message has the identity of another message.
        case conflicting
        /// The message is not authentic, not recent or too large.
        case rejected
        /// The store is down, or the outcome of the store is unknown.
        case unavailable
    }

    /// The result of the delivery.
    public let outcome: Outcome
    /// The HTTP status: 200, 204, 401, 409, 413 or 503.
    public let status: Int
    /// The header fields of the response.
    public let headerFields: [(name: String, value: String)]
    /// The body, which is empty with the status 204.
    public let body: [UInt8]
}
