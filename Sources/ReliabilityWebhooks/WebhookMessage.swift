public import Outbox
internal import ReliabilityCore

/// A webhook for any number of endpoints.
///
/// ```swift
/// let message = try WebhookMessage("order.paid", payload: body)
/// try await outbox.commit([], sending: message.records(for: ["acme", "globex"]))
/// ```
///
/// The bytes of the payload are stored with the data and are the same at every attempt. Standard Webhooks advises a JSON
/// object with `type`, `timestamp` and `data`, and fewer than 20 kB.
public struct WebhookMessage: Hashable, Sendable {
    private static let identity = "webhook-id"
    private static let endpoint = "webhook-endpoint"

    /// The identity, which is the same for all endpoints and attempts.
    public let id: String
    /// The type, such as `order.paid`.
    public let type: String
    /// The body.
    public let payload: [UInt8]

    /// Creates a message.
    ///
    /// - Parameters:
    ///   - type: The type: 1 to 128 letters, digits, `_` and `.` of ASCII.
    ///   - id: The identity: 1 to 100 letters, digits, `_` and `-` of ASCII. Defaults to `msg_` and 128 random bits.
    ///   - payload: The body.
    /// - Throws: ``WebhookDeliveryError`` if the type or the identity has another form.
    public init(_ type: String, id: String? = nil, payload: [UInt8]) throws(WebhookDeliveryError) {
        let id = id ?? "msg_\(randomHexadecimal(bytes: 16))"
        let isType =
            (1...128).contains(type.utf8.count)
            && type.utf8.allSatisfy { $0.isASCIILetterOrDigit || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") }
        guard isType, WebhookSigner.isIdentity(id) else { throw WebhookDeliveryError(.invalidMessage) }
        self.id = id
        self.type = type
        self.payload = payload
    }

    /// Returns the records that an outbox delivers, each for a single endpoint.
    ///
    /// A commit with the records fails as a whole if the store cannot make that number of writes in a single commit.
    ///
    /// - Parameter endpointIDs: The ``WebhookEndpoint/id`` of the endpoints. A repeated identity counts once.
    /// - Returns: The records.
    public func records(for endpointIDs: [String]) -> [OutboxMessage] {
        var seen: Set<[UInt8]> = []
        return endpointIDs.filter { seen.insert(Array($0.utf8)).inserted }.map { endpointID in
            OutboxMessage(
                id: Self.recordID(id, endpointID),
                topic: type,
                headers: [Self.identity: id, Self.endpoint: endpointID],
                payload: payload
            )
        }
    }

    /// Returns the identity of the record of a message for an endpoint.
    static func recordID(_ id: String, _ endpointID: String) -> String { "\(id):\(endpointID)" }

    /// Reads a message and its endpoint from a record, or returns `nil` for any other record.
    static func read(_ record: OutboxMessage) -> (message: WebhookMessage, endpointID: String)? {
        guard let id = record.headers[identity], let endpointID = record.headers[endpoint],
            let message = try? WebhookMessage(record.topic, id: id, payload: record.payload)
        else { return nil }
        return (message, endpointID)
    }
}
