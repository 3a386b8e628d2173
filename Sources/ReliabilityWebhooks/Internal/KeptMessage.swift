internal import Outbox
internal import ReliabilityStore

/// A delivered message that is kept for a replay.
struct KeptMessage {
    private static let keyspace: Keyspace = "webhook-sent"

    /// The time of the delivery in Unix seconds.
    let time: Int64
    let message: OutboxMessage

    init(time: Int64, message: OutboxMessage) {
        self.time = time
        self.message = message
    }

    /// The prefix of the keys of an endpoint's messages.
    static func prefix(of endpointID: String, in queue: QueueName) -> StoreKey {
        StoreKey(keyspace, queue.description, endpointID)
    }

    static func key(_ recordID: String, of endpointID: String, in queue: QueueName) -> StoreKey {
        StoreKey(keyspace, queue.description, endpointID, recordID)
    }

    // The time in eight bytes, the number of bytes of the identity in two bytes, the identity and the message.
    var encoded: [UInt8] {
        let id = Array(message.id.utf8)
        return bigEndianBytes(of: time) + [UInt8(id.count >> 8 & 0xff), UInt8(id.count & 0xff)] + id + message.encoded
    }

    init?(_ bytes: [UInt8]) {
        guard bytes.count > 10 else { return nil }
        let idEnd = 10 + Int(bytes[8]) << 8 + Int(bytes[9])
        guard idEnd <= bytes.count, let id = String(validating: bytes[10..<idEnd], as: UTF8.self),
            let message = OutboxMessage(id: id, encoded: Array(bytes[idEnd...]))
        else { return nil }
        time = bigEndianInteger(bytes[..<8])
        self.message = message
    }
}
