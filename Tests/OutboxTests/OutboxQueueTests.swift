import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@Suite("OutboxQueue")
struct OutboxQueueTests {
    let fixture = OutboxFixture()
    let order = StoreKey("orders", "1")

    @Test("data and message are stored together or not at all")
    func atomic() async throws {
        let message = OutboxMessage(id: "m1", topic: "order.placed", payload: [1, 2])
        let first = try await fixture.queue.commit([.put(order, [1], .never, if: .absent)], sending: [message])
        #expect(first.versions == [try await fixture.memory.get(order)?.version] && first.results == [.enqueued])
        let other = OutboxMessage(id: "m2", topic: "order.placed", payload: [])
        let conflict = await #expect(throws: OutboxConflict.self) {
            try await fixture.queue.commit([.put(order, [2], .never, if: .absent)], sending: [other])
        }
        #expect(conflict?.reason == .write(index: 0, current: try await fixture.memory.get(order)))
        #expect(conflict?.code == "outbox.conflict" && conflict?.category == .conflict)
        let page = try await fixture.memory.page("test", .pending, after: nil, limit: 10)
        #expect(page.records.compactMap(OutboxMessage.init) == [message])
    }

    @Test("a pending message is not sent again and is no conflict")
    func idempotent() async throws {
        let message = OutboxMessage(id: "m1", topic: "t", payload: [1])
        for result in [EnqueueResult.enqueued, .duplicate] {
            let receipt = try await fixture.queue.commit([.put(order, [1], .never, if: .any)], sending: [message])
            #expect(receipt.results == [result])
        }
        #expect(try await fixture.queue.counts() == RecordCounts(pending: 1, deadLetters: 0))
    }

    @Test(
        "a commit with the identity of another message stores nothing and throws",
        arguments: [RecordState.pending, .deadLetter],
        ["payload", "topic", "nothing"]
    )
    func takenIdentity(state: RecordState, difference: String) async throws {
        // The same pending message is a duplicate and no conflict.
        if state == .pending, difference == "nothing" { return }
        try await fixture.send("m1")
        if state == .deadLetter {
            for claim in try await fixture.memory.claim("test", limit: 1, lease: .seconds(60)) {
                _ = try await fixture.memory.settle([Settlement(claim, .deadLetter(reason: "x"))])
            }
        }
        let new = OutboxMessage(
            id: "m1",
            topic: difference == "topic" ? "other" : "t",
            payload: difference == "payload" ? [1] : []
        )
        let fresh = OutboxMessage(id: "m2", topic: "t", payload: [])
        let before = try await fixture.memory.page("test", state, after: nil, limit: 9)
        let conflict = await #expect(throws: OutboxConflict.self) {
            try await fixture.queue.commit([.put(order, [1], .never, if: .absent)], sending: [fresh, new])
        }
        #expect(conflict?.reason == .identityTaken(index: 1, state))
        #expect(conflict?.messageID == "m1" && conflict.map { "\($0)" }?.contains("message 1 (m1) belongs") == true)
        #expect(conflict?.code == "outbox.identity_taken")
        #expect(try await fixture.memory.get(order) == nil)
        #expect(try await fixture.memory.page("test", state, after: nil, limit: 9) == before)
        #expect(try await fixture.queue.counts().pending == (state == .pending ? 1 : 0))
        // The dead letter is sent unchanged.
        if state == .deadLetter {
            #expect(try await fixture.queue.redriveDeadLetters() == 1)
            let page = try await fixture.memory.page("test", .pending, after: nil, limit: 9)
            #expect(page.records.compactMap(OutboxMessage.init) == [OutboxMessage(id: "m1", topic: "t", payload: [])])
        }
    }

    @Test("only dead letters beyond the age are removed", arguments: [0, 1, 7, Int.max])
    func removeDeadLetters(limit: Int) async throws {
        func bury(_ ids: [String]) async throws {
            try await fixture.send(ids)
            for claim in try await fixture.memory.claim("test", limit: 100, lease: .seconds(60)) {
                _ = try await fixture.memory.settle([Settlement(claim, .deadLetter(reason: "x"))])
            }
        }
        try await bury((0..<9).map { "old \($0)" })
        fixture.clock.advance(by: .seconds(10))
        try await bury(["young"])
        try await fixture.send("pending")
        fixture.clock.advance(by: .seconds(10))
        let count = min(limit, 9)
        #expect(try await fixture.queue.removeDeadLetters(olderThan: .seconds(15), limit: limit) == count)
        #expect(try await fixture.queue.counts() == RecordCounts(pending: 1, deadLetters: 10 - count))
        #expect(try await fixture.queue.removeDeadLetters(olderThan: .seconds(Int64.max)) == 0)
        #expect(try await fixture.queue.removeDeadLetters(olderThan: Duration(attoseconds: .min)) == 10 - count)
    }

    @Test("messages without an identity get unique identities")
    func identities() {
        let ids = Set((0..<100).map { _ in OutboxMessage(topic: "t", payload: []).id })
        #expect(ids.count == 100)
        #expect(ids.allSatisfy { $0.utf8.count == 32 })
    }

    @Test("an identity of invalid length throws", arguments: [0, 257, 100_000])
    func invalidIdentity(count: Int) async {
        let message = OutboxMessage(id: String(repeating: "x", count: count), topic: "t", payload: [])
        let error = await #expect(throws: StoreError.self) { try await fixture.queue.commit([], sending: [message]) }
        #expect(error?.reason == .invalid)
    }

    @Test(
        "any topic and payload is read as it was stored",
        arguments: [
            "", "t", "order.placed", "a\u{0}b", "☕️", String(repeating: "x", count: 70_000),
        ]
    )
    func roundTrip(topic: String) async throws {
        for payload in [[], [0], [UInt8](0...255)] as [[UInt8]] {
            let message = OutboxMessage(id: "m\(payload.count)", topic: topic, payload: payload)
            _ = try await fixture.queue.commit([], sending: [message])
            let page = try await fixture.memory.page("test", .pending, after: nil, limit: 10)
            #expect(page.records.compactMap(OutboxMessage.init).contains(message))
        }
    }

    @Test(
        "bytes of another format are no message",
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
            deadLetterReason: nil
        )
        #expect(OutboxMessage(record) == nil)
    }

    @Test("dead letters are redriven under their identities up to the limit", arguments: [0, 1, 7, 250, Int.max])
    func redrive(limit: Int) async throws {
        let ids = (0..<250).map { "m\($0)" }
        try await fixture.send(ids)
        while true {
            let claims = try await fixture.memory.claim("test", limit: 100, lease: .seconds(60))
            if claims.isEmpty { break }
            _ = try await fixture.memory.settle(claims.map { Settlement($0, .deadLetter(reason: "x")) })
        }
        #expect(try await fixture.queue.counts() == RecordCounts(pending: 0, deadLetters: 250))
        let count = min(limit, 250)
        #expect(try await fixture.queue.redriveDeadLetters(limit: limit) == count)
        #expect(try await fixture.queue.counts() == RecordCounts(pending: count, deadLetters: 250 - count))
        let page = try await fixture.memory.page("test", .pending, after: nil, limit: 1000)
        #expect(Set(page.records.map(\.id)).isSubset(of: ids))
    }

    @Test("an empty queue name is rejected")
    func emptyName() async {
        await #expect(processExitsWith: .failure) {
            _ = OutboxQueue("", store: InMemoryStore(), storeFailure: .failClosed())
        }
    }

    @Test("dead letters are redriven and removed in as few calls as the store allows", arguments: [true, false])
    func pages(isRedrive: Bool) async throws {
        let store = FaultInjectingStore(fixture.memory, clock: fixture.clock)
        let queue = OutboxQueue("test", store: store, storeFailure: .failClosed(), clock: fixture.clock)
        try await fixture.send((0..<1000).map { "m\($0)" })
        while case let claims = try await fixture.memory.claim("test", limit: 100, lease: .seconds(60)), !claims.isEmpty
        {
            _ = try await fixture.memory.settle(claims.map { Settlement($0, .deadLetter(reason: "x")) })
        }
        let count =
            isRedrive
            ? try await queue.redriveDeadLetters() : try await queue.removeDeadLetters(olderThan: .zero)
        #expect(count == 1000)
        // Pages of 128 records.
        #expect(store.count(of: .page) == 8 && store.count(of: .settle) == 8)
        #expect(try await queue.counts() == RecordCounts(pending: isRedrive ? 1000 : 0, deadLetters: 0))
    }
}
