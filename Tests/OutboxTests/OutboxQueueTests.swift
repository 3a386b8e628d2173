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
        #expect(first.versions == [try await bench.memory.get(order)?.version] && first.messages == [.enqueued])
        let other = OutboxMessage(id: "m2", topic: "order.placed", payload: [])
        let conflict = await #expect(throws: OutboxConflict.self) {
            try await bench.queue.commit([.put(order, [2], .never, if: .absent)], sending: [other])
        }
        #expect(conflict?.reason == .write(index: 0, current: try await bench.memory.get(order)))
        #expect(conflict?.code == "outbox.conflict" && conflict?.category == .conflict)
        let page = try await bench.memory.page("test", .pending, after: nil, limit: 10)
        #expect(page.records.compactMap(OutboxMessage.init) == [message])
    }

    @Test("a message that is pending already is not sent again, and that is no conflict")
    func idempotent() async throws {
        let message = OutboxMessage(id: "m1", topic: "t", payload: [1])
        for result in [EnqueueResult.enqueued, .duplicate] {
            let receipt = try await bench.queue.commit([.put(order, [1], .never, if: .any)], sending: [message])
            #expect(receipt.messages == [result])
        }
        #expect(try await bench.queue.counts() == RecordCounts(pending: 1, dead: 0))
    }

    @Test(
        "a commit whose message's identity belongs to another message stores nothing and says so",
        arguments: [RecordState.pending, .dead],
        ["payload", "topic", "nothing"]
    )
    func takenIdentity(state: RecordState, difference: String) async throws {
        // The same message, pending, is no other one.
        if state == .pending, difference == "nothing" { return }
        try await bench.send("m1")
        if state == .dead {
            for claim in try await bench.memory.claim("test", limit: 1, lease: .seconds(60)) {
                _ = try await bench.memory.settle([Settlement(claim, .dead(reason: "x"))])
            }
        }
        let new = OutboxMessage(
            id: "m1",
            topic: difference == "topic" ? "other" : "t",
            payload: difference == "payload" ? [1] : []
        )
        let fresh = OutboxMessage(id: "m2", topic: "t", payload: [])
        let before = try await bench.memory.page("test", state, after: nil, limit: 9)
        let conflict = await #expect(throws: OutboxConflict.self) {
            try await bench.queue.commit([.put(order, [1], .never, if: .absent)], sending: [fresh, new])
        }
        #expect(conflict?.reason == .message(index: 1, state))
        #expect(conflict?.code == "outbox.identity_taken")
        #expect(try await bench.memory.get(order) == nil)
        #expect(try await bench.memory.page("test", state, after: nil, limit: 9) == before)
        #expect(try await bench.queue.counts().pending == (state == .pending ? 1 : 0))
        // What was dead is sent as it was, and nobody was told that it is the new one.
        if state == .dead {
            #expect(try await bench.queue.redriveDead() == 1)
            let page = try await bench.memory.page("test", .pending, after: nil, limit: 9)
            #expect(page.records.compactMap(OutboxMessage.init) == [OutboxMessage(id: "m1", topic: "t", payload: [])])
        }
    }

    @Test("dead messages are removed once they are old enough, and no others", arguments: [0, 1, 7, Int.max])
    func removeDead(limit: Int) async throws {
        func bury(_ ids: [String]) async throws {
            try await bench.send(ids)
            for claim in try await bench.memory.claim("test", limit: 100, lease: .seconds(60)) {
                _ = try await bench.memory.settle([Settlement(claim, .dead(reason: "x"))])
            }
        }
        try await bury((0..<9).map { "old \($0)" })
        bench.clock.advance(by: .seconds(10))
        try await bury(["young"])
        try await bench.send("pending")
        bench.clock.advance(by: .seconds(10))
        let count = min(limit, 9)
        #expect(try await bench.queue.removeDead(olderThan: .seconds(15), limit: limit) == count)
        #expect(try await bench.queue.counts() == RecordCounts(pending: 1, dead: 10 - count))
        #expect(try await bench.queue.removeDead(olderThan: .seconds(Int64.max)) == 0)
        #expect(try await bench.queue.removeDead(olderThan: Duration(attoseconds: .min)) == 10 - count)
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
