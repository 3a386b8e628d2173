internal import ReliabilityCore
public import ReliabilityStore

/// A message that something has happened.
public struct OutboxMessage: Hashable, Sendable {
    /// The message's identity: the same at every delivery, so that a consumer can tell a repetition.
    ///
    /// While a message is pending or dead, another one with its identity and another topic or payload is a conflict. It has
    /// 1 to 256 bytes; a store refuses others.
    public let id: String
    /// What kind of message it is, such as `order.placed`.
    public let topic: String
    /// The content.
    public let payload: [UInt8]

    /// Creates a message.
    ///
    /// - Parameters:
    ///   - id: Its identity, or `nil` for 128 random bits. One that is made from the data (`order.placed:42`) also keeps
    ///     the same message from being sent twice while the first is undelivered. It has to change with the data
    ///     (`order.updated:42:7`).
    ///   - topic: What kind of message it is.
    ///   - payload: The content.
    public init(id: String? = nil, topic: String, payload: [UInt8]) {
        self.id = id ?? randomHexadecimal(bytes: 16)
        self.topic = topic
        self.payload = payload
    }

    /// Reads a message from a record, such as a dead one; nil when the record is not a message's.
    ///
    /// - Parameter record: A record of an outbox's queue.
    public init?(_ record: RecordInfo) {
        self.init(id: record.id, encoded: record.payload)
    }

    // A format number, the topic's length in four bytes, the topic, the payload.
    private static let format: UInt8 = 1

    var encoded: [UInt8] {
        let topic = Array(topic.utf8)
        var bytes: [UInt8] = [Self.format]
        bytes.reserveCapacity(5 + topic.count + payload.count)
        for shift in stride(from: 24, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: topic.count >> shift))
        }
        bytes += topic
        bytes += payload
        return bytes
    }

    init?(id: String, encoded bytes: [UInt8]) {
        guard bytes.count >= 5, bytes[0] == Self.format else { return nil }
        let count = bytes[1..<5].reduce(0) { $0 << 8 | Int($1) }
        guard count <= bytes.count - 5, let topic = String(validating: bytes[5..<5 + count], as: UTF8.self) else {
            return nil
        }
        self.id = id
        self.topic = topic
        payload = Array(bytes[(5 + count)...])
    }
}
