import ReliabilityStore
import Testing

@testable import Outbox

@Suite("OutboxMessage")
struct OutboxMessageTests {
    @Test("a message without headers keeps the encoding of earlier releases")
    func plain() throws {
        let message = OutboxMessage(id: "1", topic: "t.é", payload: [0, 1, 255])
        let encoded: [UInt8] = [1, 0, 0, 0, 4, 0x74, 0x2E, 0xC3, 0xA9, 0, 1, 255]
        #expect(message.encoded == encoded)
        #expect(OutboxMessage(id: "1", encoded: encoded) == message)
    }

    @Test("headers are encoded in the order of their names and read again")
    func headers() throws {
        let message = OutboxMessage(
            id: "1",
            topic: "t",
            headers: ["traceparent": "00-ab", "b": "", "B": "ü"],
            payload: [9]
        )
        var encoded: [UInt8] = [2, 0, 0, 0, 1, 0x74, 0, 0, 0, 3]
        for text in ["B", "ü", "b", "", "traceparent", "00-ab"] {
            encoded += [0, 0, 0, UInt8(text.utf8.count)] + Array(text.utf8)
        }
        #expect(message.encoded == encoded + [9])
        #expect(OutboxMessage(id: "1", encoded: message.encoded) == message)
    }

    @Test("bytes of no known format are rejected")
    func malformed() {
        let encoded = OutboxMessage(id: "1", topic: "topic", headers: ["name": "value"], payload: []).encoded
        for count in 0..<encoded.count {
            #expect(OutboxMessage(id: "1", encoded: Array(encoded[..<count])) == nil, "\(count) bytes")
        }
        #expect(OutboxMessage(id: "1", encoded: [3, 0, 0, 0, 0]) == nil)
        // A topic that is not UTF-8, and counts beyond any number of bytes.
        #expect(OutboxMessage(id: "1", encoded: [1, 0, 0, 0, 1, 0xFF]) == nil)
        #expect(OutboxMessage(id: "1", encoded: [1, 255, 255, 255, 255, 0]) == nil)
        #expect(OutboxMessage(id: "1", encoded: [2, 0, 0, 0, 0, 255, 255, 255, 255]) == nil)
    }
}
