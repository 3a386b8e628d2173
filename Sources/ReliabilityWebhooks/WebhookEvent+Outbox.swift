public import Outbox

extension WebhookEvent {
    private static let identity = "webhook-id"
    private static let type = "webhook-type"
    private static let isSigned = "webhook-type-signed"
    private static let time = "webhook-timestamp"
    private static let offset = "webhook-clock-offset"
    private static let secret = "webhook-secret-name"

    /// Reads the event that a ``WebhookInbox`` stored in a message, or returns `nil` for any other message.
    ///
    /// - Parameter message: A message of the inbox's queue. Its topic is the name of the source.
    public init?(_ message: OutboxMessage) {
        let headers = message.headers
        guard let id = headers[Self.identity], let secretName = headers[Self.secret] else { return nil }
        self.init(
            id: id,
            type: headers[Self.type],
            isTypeSigned: headers[Self.isSigned] != nil,
            timestamp: headers[Self.time].flatMap { Int64($0) },
            clockOffset: headers[Self.offset].flatMap { Int64($0) },
            secretName: secretName,
            challenge: nil,
            body: message.payload
        )
    }

    /// Returns the message that stores the event.
    func message(id messageID: String, topic: String) -> OutboxMessage {
        var headers = [Self.identity: id, Self.secret: secretName]
        headers[Self.type] = type
        if isTypeSigned { headers[Self.isSigned] = "1" }
        headers[Self.time] = timestamp.map(String.init)
        headers[Self.offset] = clockOffset.map(String.init)
        return OutboxMessage(id: messageID, topic: topic, headers: headers, payload: body)
    }
}
