import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@Suite("OutboxQueue")
struct OutboxQueueTests {
    let bench = Bench()
    let order = StoreKey("orders", "1")

    @Test("I25: the data and its message are stored together, or neither")
    func atomic() async throws {
        let message = OutboxMessage(id: "m1", topic: "order.placed", payload: [1, 2])
        let first = try await bench.queue.commit([.put(order, [1], .never, if: .absent)], sending: [message])
        guard case .committed = first else {
            Issue.record("the first commit did not happen")
            return
        }
        let other = OutboxMessage(id: "m2", topic: "order.placed", payload: [])
        let second = try await bench.queue.commit([.put(order, [2], .never, if: .absent)], sending: [other])
        guard case .conflict = second else {
            Issue.record("the second commit happened")
            return
        }
        let page = try await bench.memory.page("test", .pending, after: nil, limit: 10)
        #expect(page.records.compactMap(OutboxMessage.init) == [message])
    }

    @Test("a message whose identity is in the queue already is not sent again")
    func idempotent() async throws {
        for payload in [[1], [2]] as [[UInt8]] {
            let message = OutboxMessage(id: "m1", topic: "t", payload: payload)
            _ = try await bench.queue.commit([], sending: [message])
        }
        #expect(try await bench.queue.counts() == RecordCounts(pending: 1, dead: 0))
    }

    @Test("messages without an identity get one each")
    func identities() {
        let ids = Set((0..<100).map { _ in OutboxMessage(topic: "t", payload: []).id })
        #expect(ids.count == 100)
        #expect(ids.allSatisfy { $0.utf8.count == 32 })
    }

    @Test("an identity of a length that the store refuses is an error, not a trap", arguments: [0, 257, 100_000])
    func hostileIdentity(count: Int) async {
        let message = OutboxMessage(id: String(repeating: "x", count: count), topic: "t", payload: [])
        let error = await #expect(throws: StoreError.self) { try await bench.queue.commit([], sending: [message]) }
        #expect(error?.reason == .invalid)
    }

    @Test(
        "any topic and payload survive being stored",
        arguments: [
            "", "t", "order.placed", "a\u{0}b", "☕️", String(repeating: "x", count: 70_000),
        ]
    )
    func roundTrip(topic: String) async throws {
        for payload in [[], [0], [UInt8](0...255)] as [[UInt8]] {
            let message = OutboxMessage(id: "m\(payload.count)", topic: topic, payload: payload)
            _ = try await bench.queue.commit([], sending: [message])
            let page = try await bench.memory.page("test", .pending, after: nil, limit: 10)
            #expect(page.records.compactMap(OutboxMessage.init).contains(message))
        }
    }

    @Test(
        "bytes that are no message are not read as one",
        arguments: [
            [], [1], [1, 0, 0, 0], [2, 0, 0, 0, 0], [1, 0, 0, 0, 1], [1, 255, 255, 255, 255, 1], [1, 0, 0, 0, 1, 0xFF],
        ] as [[UInt8]]
    )
    func unreadable(bytes: [UInt8]) {
        let record = RecordInfo(
            id: "x",
            payload: bytes,
            version: StoreVersion(rawValue: 1),
            attempts: 0,
            isLeased: false,
            due: .zero,
            deadReason: nil
        )
        #expect(OutboxMessage(record) == nil)
    }

    @Test(
        "dead messages are sent again under their identities, as many as asked for",
        arguments: [0, 1, 7, 250, Int.max]
    )
    func redrive(limit: Int) async throws {
        let ids = (0..<250).map { "m\($0)" }
        try await bench.send(ids)
        while true {
            let claims = try await bench.memory.claim("test", limit: 100, lease: .seconds(60))
            if claims.isEmpty { break }
            _ = try await bench.memory.settle(claims.map { Settlement($0, .dead(reason: "x")) })
        }
        #expect(try await bench.queue.counts() == RecordCounts(pending: 0, dead: 250))
        let count = min(limit, 250)
        #expect(try await bench.queue.redriveDead(limit: limit) == count)
        #expect(try await bench.queue.counts() == RecordCounts(pending: count, dead: 250 - count))
        let page = try await bench.memory.page("test", .pending, after: nil, limit: 1000)
        #expect(Set(page.records.map(\.id)).isSubset(of: ids))
    }

    @Test("a queue's name that no store takes is refused at construction, with the name in the message")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) { _ = OutboxQueue("", store: InMemoryStore()) }
    }
}
