import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Retry
import TestSupport
import Testing

@Suite("OutboxRelay")
struct OutboxRelayTests {
    let fixture = OutboxFixture()

    @Test("a message is delivered once, unchanged, and removed")
    func delivers() async throws {
        let message = OutboxMessage(id: "m1", topic: "order.placed", payload: [1, 2, 3])
        _ = try await fixture.queue.commit([], sending: [message])
        let relay = fixture.relay { _ in }
        let run = Task { await relay.run() }
        #expect(await fixture.names(1) == ["delivered m1 1"])
        relay.drain()
        await run.value
        #expect(fixture.deliveries.events.map(\.message) == [message])
        #expect(try await fixture.queue.counts() == RecordCounts(pending: 0, deadLetters: 0))
        #expect(fixture.clock.sleeperCount == 0)
    }

    @Test("a relay with defaults delivers on the real clock")
    func defaults() async throws {
        let outbox = OutboxQueue("orders", store: InMemoryStore(), storeFailure: .failClosed())
        let delivered = EventRecorder<OutboxMessage>()
        let relay = OutboxRelay(queue: outbox) { delivery in
            delivered.record(delivery.message)
        }
        let run = Task { await relay.run() }
        let messages = (0..<100).map { OutboxMessage(topic: "order.placed", payload: [$0]) }
        _ = try await outbox.commit([], sending: messages)
        relay.wake()
        #expect(Set(await delivered.wait(for: 100)) == Set(messages))
        relay.drain()
        await run.value
        #expect(try await outbox.counts() == RecordCounts(pending: 0, deadLetters: 0))
    }

    @Test("20 relays on one queue deliver each of 1,000 messages once")
    func manyRelays() async throws {
        try await fixture.send((0..<1000).map { "m\($0)" })
        let relays = (0..<20).map { _ in fixture.relay(concurrency: 4) { _ in } }
        await withTaskGroup { group in
            for relay in relays { group.addTask { await relay.run() } }
            _ = await fixture.events.wait(for: 1000)
            for relay in relays { relay.drain() }
        }
        let ids = fixture.deliveries.events.map(\.message.id)
        #expect(ids.count == 1000)
        #expect(Set(ids).count == 1000)
        #expect(fixture.deliveries.events.allSatisfy { $0.attempt == 1 })
        #expect(try await fixture.queue.counts() == RecordCounts(pending: 0, deadLetters: 0))
    }

    @Test("the configured number of deliveries run at the same time", arguments: [1, 3, 16])
    func concurrency(limit: Int) async throws {
        try await fixture.send((0..<100).map { "m\($0)" })
        let inside = ConcurrencyCounter()
        let gate = TaskGate()
        let relay = fixture.relay(concurrency: limit) { _ in
            if inside.increment() == limit { gate.open() }
            await gate.pass()
            await Task.yield()
            inside.decrement()
        }
        let run = Task { await relay.run() }
        _ = await fixture.events.wait(for: 100)
        relay.drain()
        await run.value
        #expect(inside.peak == limit)
    }

    @Test("messages are delivered when they are due, the earliest first")
    func order() async throws {
        try await fixture.send("third", delay: .seconds(30))
        try await fixture.send("second", delay: .seconds(20))
        try await fixture.send("first", delay: .seconds(10))
        let relay = fixture.relay(concurrency: 1, pollInterval: .seconds(3600)) { _ in }
        let run = Task { await relay.run() }
        for count in 1...3 {
            await fixture.untilIdle(for: .seconds(9) ... .seconds(10) + resolution)
            #expect(fixture.deliveries.events.count == count - 1)
            fixture.clock.advance(by: .seconds(10) + resolution)
            _ = await fixture.events.wait(for: count)
        }
        relay.drain()
        await run.value
        #expect(fixture.deliveries.events.map(\.message.id) == ["first", "second", "third"])
    }

    @Test("a failed delivery is retried after the backoff with the same identity")
    func retries() async throws {
        try await fixture.send("m1")
        let relay = fixture.relay(backoff: .constant(.seconds(2), jitter: .none)) { delivery in
            if delivery.attempt < 3 { throw TestError() }
        }
        let run = Task { await relay.run() }
        for attempt in 1...2 {
            _ = await fixture.events.wait(for: attempt)
            await fixture.untilIdle(for: .seconds(2) - resolution ... .seconds(2) + resolution)
            #expect(fixture.deliveries.events.count == attempt)
            fixture.clock.advance(by: .seconds(2) + resolution)
        }
        #expect(
            await fixture.names(3) == [
                "retrying m1 1 after 2.0 seconds", "retrying m1 2 after 2.0 seconds", "delivered m1 3",
            ]
        )
        relay.drain()
        await run.value
        #expect(fixture.deliveries.events.map(\.attempt) == [1, 2, 3])
    }

    @Test(
        "a consumer's retry-after is honoured up to the maximum",
        arguments: [
            (Duration.seconds(7), Duration.seconds(7)), (.seconds(Int64.max), .seconds(100)),
            (.milliseconds(1), .seconds(1)),
            (.seconds(-5), .seconds(1)),
        ]
    )
    func retryAfter(asked: Duration, waited: Duration) async throws {
        try await fixture.send("m1")
        let relay = fixture.relay { _ in throw BusyError(retryAfter: asked) }
        let run = Task { await relay.run() }
        #expect(await fixture.names(1) == ["retrying m1 1 after \(waited)"])
        relay.drain()
        await run.value
        let due = try #require(try await fixture.memory.nextDue("test"))
        #expect(due >= waited && due <= waited + resolution)
    }

    @Test("a message is a dead letter after its last attempt until it is redriven")
    func deadLetter() async throws {
        try await fixture.send("m1")
        let relay = fixture.relay(maxAttempts: 3, backoff: .none) { _ in throw BusyError() }
        let run = Task { await relay.run() }
        #expect(await fixture.names(3).last == "dead m1 3")
        #expect(try await fixture.queue.counts() == RecordCounts(pending: 0, deadLetters: 1))
        let dead = try await fixture.memory.page("test", .deadLetter, after: nil, limit: 10).records
        #expect(dead.map(\.deadLetterReason) == ["test.busy"])
        #expect(try await fixture.queue.redriveDeadLetters() == 1)
        relay.wake()
        _ = await fixture.events.wait(for: 6)
        #expect(fixture.deliveries.events.map(\.attempt) == [1, 2, 3, 1, 2, 3])
        #expect(Set(fixture.deliveries.events.map(\.message.id)) == ["m1"])
        relay.drain()
        await run.value
    }

    @Test("the stored reason is a code without the handler's error")
    func reasonIsACode() async throws {
        struct Secret: Error, CustomStringConvertible { var description: String { "password" } }
        try await fixture.send("m1")
        let relay = fixture.relay(maxAttempts: 1) { _ in throw Secret() }
        let run = Task { await relay.run() }
        _ = await fixture.events.wait(for: 1)
        relay.drain()
        await run.value
        let dead = try await fixture.memory.page("test", .deadLetter, after: nil, limit: 10).records
        #expect(dead.map(\.deadLetterReason) == ["outbox.handler_failed"])
    }

    @Test("an error classified as deadLetter ends the attempts immediately")
    func classifiesAsDeadLetter() async throws {
        try await fixture.send("m1")
        let relay = fixture.relay(classify: { _ in .deadLetter }) { _ in throw TestError() }
        let run = Task { await relay.run() }
        #expect(await fixture.names(1) == ["dead m1 1"])
        relay.drain()
        await run.value
    }

    @Test("a message that always fails does not delay others")
    func poison() async throws {
        try await fixture.send("a-poison")
        try await fixture.send((0..<100).map { "m\($0)" })
        let relay = fixture.relay(concurrency: 1) { delivery in
            if delivery.message.id == "a-poison" { throw TestError() }
        }
        let run = Task { await relay.run() }
        // The clock stands still, so no message waits for the backoff.
        #expect(await fixture.names(101).filter { $0.hasPrefix("delivered") }.count == 100)
        relay.drain()
        await run.value
        #expect(try await fixture.queue.counts() == RecordCounts(pending: 1, deadLetters: 0))
    }

    @Test("an unreadable message becomes a dead letter")
    func unreadable() async throws {
        _ = try await fixture.memory.enqueue([NewRecord(queue: "test", id: "m1", payload: [9, 9])])
        let relay = fixture.relay { _ in }
        let run = Task { await relay.run() }
        #expect(await fixture.names(1) == ["dead m1 1"])
        relay.drain()
        await run.value
        #expect(fixture.deliveries.events.isEmpty)
        let dead = try await fixture.memory.page("test", .deadLetter, after: nil, limit: 10).records
        #expect(dead.map(\.deadLetterReason) == ["outbox.unreadable"])
        #expect(dead.map(\.payload) == [[9, 9]])
    }

    @Test("a message that ended the process in every attempt becomes a dead letter")
    func crashLoop() async throws {
        try await fixture.send("m1")
        for _ in 1...5 {
            #expect(try await fixture.memory.claim("test", limit: 1, lease: .seconds(60)).count == 1)
            fixture.clock.advance(by: .seconds(60) + resolution)
        }
        let relay = fixture.relay(maxAttempts: 5) { _ in }
        let run = Task { await relay.run() }
        #expect(await fixture.names(1) == ["dead m1 6"])
        relay.drain()
        await run.value
        #expect(fixture.deliveries.events.isEmpty)
    }

    @Test("an idle relay delivers immediately after wake, and otherwise at the next poll")
    func wakes() async throws {
        let relay = fixture.relay(pollInterval: .seconds(5)) { _ in }
        let run = Task { await relay.run() }
        await fixture.untilIdle(for: .seconds(5) ... .seconds(5))
        try await fixture.send("woken")
        relay.wake()
        _ = await fixture.events.wait(for: 1)
        await fixture.untilIdle(for: .seconds(5) ... .seconds(5))
        try await fixture.send("polled")
        fixture.clock.advance(by: .seconds(5))
        #expect(await fixture.names(2) == ["delivered woken 1", "delivered polled 1"])
        relay.drain()
        await run.value
    }

    @Test("scheduled messages cost an idle relay no call to the store", arguments: [0, 1_000])
    func scheduledMessages(count: Int) async throws {
        let calls = Lock(0)
        let store = StoreDouble(
            fixture.memory,
            faults: {
                calls.withLock { $0 += 1 }
                return nil
            }
        )
        let queue = OutboxQueue("test", store: store, storeFailure: .failClosed(), clock: fixture.clock)
        try await fixture.send((0..<count).map { "m\($0)" }, delay: .seconds(86_400))
        let relay = fixture.relay(pollInterval: .seconds(5), queue: queue) { _ in }
        let run = Task { await relay.run() }
        for _ in 0..<100 {
            await fixture.untilIdle(for: .seconds(5) ... .seconds(5))
            fixture.clock.advance(by: .seconds(5))
        }
        await fixture.untilIdle(for: .seconds(5) ... .seconds(5))
        // A claim and the next due time for each poll.
        #expect(calls.withLock { $0 } == 202)
        relay.drain()
        await run.value
        #expect(fixture.deliveries.events.isEmpty)
    }

    @Test("a handler has a deadline and is cancelled and retried after it")
    func deliveryTimeout() async throws {
        try await fixture.send("m1")
        let deadlines = EventRecorder<Duration?>()
        let relay = fixture.relay(deliveryTimeout: .seconds(10)) { _ in
            deadlines.record(Deadline.current?.remaining)
            try await hang()
        }
        let run = Task { await relay.run() }
        #expect(await deadlines.wait(for: 1) == [.seconds(10)])
        await fixture.clock.waitForSleepers(2)
        fixture.clock.advance(by: .seconds(5))
        await fixture.clock.waitForSleepers(2)
        fixture.clock.advance(by: .seconds(5))
        guard case .retrying(_, _, _, let error as OutboxError) = await fixture.events.wait(for: 1)[0] else {
            Issue.record("not retried")
            return
        }
        #expect(error.reason == .deliveryTimedOut)
        #expect(error.category == .timeout)
        relay.drain()
        await run.value
    }

    @Test("a handler that never suspends is cancelled at its timeout")
    func computation() async throws {
        try await fixture.send("m1")
        let wasCancelledBefore = EventRecorder<Bool>()
        let relay = fixture.relay(deliveryTimeout: .seconds(4)) { [clock = fixture.clock] _ in
            clock.stall(for: .seconds(4))
            // The handler blocks its thread until it is cancelled.
            while !Task.isCancelled {}
            wasCancelledBefore.record(true)
        }
        let run = Task { await relay.run() }
        #expect(await wasCancelledBefore.wait(for: 1) == [true])
        relay.drain()
        await run.value
    }

    @Test("a concurrency of 0, a negative grace and a retention of 0 are invalid")
    func validation() async {
        #expect(problems(of: OutboxRelay.Configuration(concurrency: 0).validate).count == 1)
        #expect(problems(of: OutboxRelay.Configuration(cancellationGrace: .seconds(-1)).validate).count == 1)
        #expect(problems(of: OutboxRelay.Configuration(deadLetterRetention: .zero).validate).count == 1)
    }
}
