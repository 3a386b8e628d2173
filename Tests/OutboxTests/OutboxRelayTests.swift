import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Retry
import Testing

@Suite("OutboxRelay")
struct OutboxRelayTests {
    let bench = Bench()

    /// A store counts in whole milliseconds and rounds up: what ends, ends at most this much later.
    let resolution = Duration.milliseconds(1)

    @Test("a message is delivered as it was sent, once, and is gone")
    func delivers() async throws {
        let message = OutboxMessage(id: "m1", topic: "order.placed", payload: [1, 2, 3])
        _ = try await bench.queue.commit([], sending: [message])
        let relay = bench.relay { _ in }
        let run = Task { await relay.run() }
        #expect(await bench.names(1) == ["delivered m1 1"])
        relay.drain()
        await run.value
        #expect(bench.deliveries.events.map(\.message) == [message])
        #expect(try await bench.queue.counts() == RecordCounts(pending: 0, dead: 0))
        #expect(bench.clock.sleeperCount == 0)
    }

    @Test("the simple form, on the real clock")
    func simple() async throws {
        let outbox = OutboxQueue("orders", store: InMemoryStore())
        let delivered = EventRecorder<OutboxMessage>()
        let relay = OutboxRelay(outbox) { delivery in
            delivered.record(delivery.message)
        }
        let run = Task { await relay.run() }
        let messages = (0..<100).map { OutboxMessage(topic: "order.placed", payload: [$0]) }
        _ = try await outbox.commit([], sending: messages)
        relay.wake()
        #expect(Set(await delivered.wait(for: 100)) == Set(messages))
        relay.drain()
        await run.value
        #expect(try await outbox.counts() == RecordCounts(pending: 0, dead: 0))
    }

    @Test("20 relays on one queue deliver each of 1,000 messages exactly once")
    func manyRelays() async throws {
        try await bench.send((0..<1000).map { "m\($0)" })
        let relays = (0..<20).map { _ in bench.relay(concurrency: 4) { _ in } }
        await withTaskGroup { group in
            for relay in relays { group.addTask { await relay.run() } }
            _ = await bench.events.wait(for: 1000)
            for relay in relays { relay.drain() }
        }
        let ids = bench.deliveries.events.map(\.message.id)
        #expect(ids.count == 1000)
        #expect(Set(ids).count == 1000)
        #expect(bench.deliveries.events.allSatisfy { $0.attempt == 1 })
        #expect(try await bench.queue.counts() == RecordCounts(pending: 0, dead: 0))
    }

    @Test("as many deliveries as configured are under way at once, and no more", arguments: [1, 3, 16])
    func concurrency(limit: Int) async throws {
        try await bench.send((0..<100).map { "m\($0)" })
        let inside = Counter()
        let gate = Gate()
        let relay = bench.relay(concurrency: limit) { _ in
            if inside.increment() == limit { gate.open() }
            await gate.pass()
            await Task.yield()
            inside.decrement()
        }
        let run = Task { await relay.run() }
        _ = await bench.events.wait(for: 100)
        relay.drain()
        await run.value
        #expect(inside.highest == limit)
    }

    @Test("messages are delivered when they are due, the earliest first")
    func order() async throws {
        try await bench.send("third", delay: .seconds(30))
        try await bench.send("second", delay: .seconds(20))
        try await bench.send("first", delay: .seconds(10))
        let relay = bench.relay(concurrency: 1, pollInterval: .seconds(3600)) { _ in }
        let run = Task { await relay.run() }
        for count in 1...3 {
            await bench.untilIdle(for: .seconds(9) ... .seconds(10) + resolution)
            #expect(bench.deliveries.events.count == count - 1)
            bench.clock.advance(by: .seconds(10) + resolution)
            _ = await bench.events.wait(for: count)
        }
        relay.drain()
        await run.value
        #expect(bench.deliveries.events.map(\.message.id) == ["first", "second", "third"])
    }

    @Test("a failed delivery is repeated after the backoff's wait, not before, with the same identity")
    func retries() async throws {
        try await bench.send("m1")
        let relay = bench.relay(backoff: .constant(.seconds(2), jitter: .none)) { delivery in
            if delivery.attempt < 3 { throw Flaky() }
        }
        let run = Task { await relay.run() }
        for attempt in 1...2 {
            _ = await bench.events.wait(for: attempt)
            await bench.untilIdle(for: .seconds(2) - resolution ... .seconds(2) + resolution)
            #expect(bench.deliveries.events.count == attempt)
            bench.clock.advance(by: .seconds(2) + resolution)
        }
        #expect(
            await bench.names(3) == [
                "retrying m1 1 after 2.0 seconds", "retrying m1 2 after 2.0 seconds", "delivered m1 3",
            ]
        )
        relay.drain()
        await run.value
        #expect(bench.deliveries.events.map(\.attempt) == [1, 2, 3])
    }

    @Test(
        "a consumer's retry-after is honoured, up to the maximum",
        arguments: [
            (Duration.seconds(7), Duration.seconds(7)), (.seconds(Int64.max), .seconds(100)),
            (.milliseconds(1), .seconds(1)),
            (.seconds(-5), .seconds(1)),
        ]
    )
    func retryAfter(asked: Duration, waited: Duration) async throws {
        try await bench.send("m1")
        let relay = bench.relay { _ in throw Busy(retryAfter: asked) }
        let run = Task { await relay.run() }
        #expect(await bench.names(1) == ["retrying m1 1 after \(waited)"])
        relay.drain()
        await run.value
        let due = try #require(try await bench.memory.nextDue("test"))
        #expect(due >= waited && due <= waited + resolution)
    }

    @Test("after the last attempt a message is dead, with a code for a reason, until it is redriven")
    func deadLetter() async throws {
        try await bench.send("m1")
        let relay = bench.relay(maxAttempts: 3, backoff: .none) { _ in throw Busy() }
        let run = Task { await relay.run() }
        #expect(await bench.names(3).last == "dead m1 3")
        #expect(try await bench.queue.counts() == RecordCounts(pending: 0, dead: 1))
        let dead = try await bench.memory.page("test", .dead, after: nil, limit: 10).records
        #expect(dead.map(\.deadReason) == ["test.busy"])
        #expect(try await bench.queue.redriveDead() == 1)
        relay.wake()
        _ = await bench.events.wait(for: 6)
        #expect(bench.deliveries.events.map(\.attempt) == [1, 2, 3, 1, 2, 3])
        #expect(Set(bench.deliveries.events.map(\.message.id)) == ["m1"])
        relay.drain()
        await run.value
    }

    @Test("what the handler threw is not stored: it may have secrets in it")
    func reasonIsACode() async throws {
        struct Secret: Error, CustomStringConvertible { var description: String { "password" } }
        try await bench.send("m1")
        let relay = bench.relay(maxAttempts: 1) { _ in throw Secret() }
        let run = Task { await relay.run() }
        _ = await bench.events.wait(for: 1)
        relay.drain()
        await run.value
        let dead = try await bench.memory.page("test", .dead, after: nil, limit: 10).records
        #expect(dead.map(\.deadReason) == ["outbox.handler_failed"])
    }

    @Test("an error that is classified as final makes the message dead at once")
    func stops() async throws {
        try await bench.send("m1")
        let relay = bench.relay(classify: { _ in .stop }) { _ in throw Flaky() }
        let run = Task { await relay.run() }
        #expect(await bench.names(1) == ["dead m1 1"])
        relay.drain()
        await run.value
    }

    @Test("I29: a message that always fails does not delay others")
    func poison() async throws {
        try await bench.send("a-poison")
        try await bench.send((0..<100).map { "m\($0)" })
        let relay = bench.relay(concurrency: 1) { delivery in
            if delivery.message.id == "a-poison" { throw Flaky() }
        }
        let run = Task { await relay.run() }
        // The clock stands still: nobody waits for the poison's backoff.
        #expect(await bench.names(101).filter { $0.hasPrefix("delivered") }.count == 100)
        relay.drain()
        await run.value
        #expect(try await bench.queue.counts() == RecordCounts(pending: 1, dead: 0))
    }

    @Test("bytes that are no message are set aside, not delivered and not destroyed")
    func unreadable() async throws {
        _ = try await bench.memory.enqueue([NewRecord(queue: "test", id: "m1", payload: [9, 9])])
        let relay = bench.relay { _ in }
        let run = Task { await relay.run() }
        #expect(await bench.names(1) == ["dead m1 1"])
        relay.drain()
        await run.value
        #expect(bench.deliveries.events.isEmpty)
        let dead = try await bench.memory.page("test", .dead, after: nil, limit: 10).records
        #expect(dead.map(\.deadReason) == ["outbox.unreadable"])
        #expect(dead.map(\.payload) == [[9, 9]])
    }

    @Test("a message that ended the process in every delivery is dead after as many as are allowed")
    func crashLoop() async throws {
        try await bench.send("m1")
        for _ in 1...5 {
            #expect(try await bench.memory.claim("test", limit: 1, lease: .seconds(60)).count == 1)
            bench.clock.advance(by: .seconds(60) + resolution)
        }
        let relay = bench.relay(maxAttempts: 5) { _ in }
        let run = Task { await relay.run() }
        #expect(await bench.names(1) == ["dead m1 6"])
        relay.drain()
        await run.value
        #expect(bench.deliveries.events.isEmpty)
    }

    @Test("an idle relay delivers at once when it is woken, and within the poll interval when it is not")
    func wakes() async throws {
        let relay = bench.relay(pollInterval: .seconds(5)) { _ in }
        let run = Task { await relay.run() }
        await bench.untilIdle(for: .seconds(5) ... .seconds(5))
        try await bench.send("woken")
        relay.wake()
        _ = await bench.events.wait(for: 1)
        await bench.untilIdle(for: .seconds(5) ... .seconds(5))
        try await bench.send("polled")
        bench.clock.advance(by: .seconds(5))
        #expect(await bench.names(2) == ["delivered woken 1", "delivered polled 1"])
        relay.drain()
        await run.value
    }

    @Test("the handler knows its deadline, and is cancelled and tried again when it passes it")
    func timeLimit() async throws {
        try await bench.send("m1")
        let deadlines = EventRecorder<Duration?>()
        let relay = bench.relay(timeLimit: .seconds(10)) { _ in
            deadlines.record(Deadline.current?.remaining)
            try await untilCancelled()
        }
        let run = Task { await relay.run() }
        #expect(await deadlines.wait(for: 1) == [.seconds(10)])
        await bench.clock.waitForSleepers(2)
        bench.clock.advance(by: .seconds(5))
        await bench.clock.waitForSleepers(2)
        bench.clock.advance(by: .seconds(5))
        guard case .retrying(_, _, _, let error as OutboxError) = await bench.events.wait(for: 1)[0] else {
            Issue.record("not retried")
            return
        }
        #expect(error.reason == .timeLimitExceeded)
        #expect(error.category == .timeout)
        relay.drain()
        await run.value
    }

    @Test("a handler that never suspends is cancelled at its time limit too")
    func timeLimitOfComputation() async throws {
        try await bench.send("m1")
        let wasCancelled = EventRecorder<Bool>()
        let relay = bench.relay(timeLimit: .seconds(4)) { [clock = bench.clock] _ in
            clock.stall(for: .seconds(4))
            // For as long as it takes: this handler has its thread for itself, and so may others have theirs.
            while !Task.isCancelled {}
            wasCancelled.record(true)
        }
        let run = Task { await relay.run() }
        #expect(await wasCancelled.wait(for: 1) == [true])
        relay.drain()
        await run.value
    }

    @Test("no attempt is under way at once is refused at construction, with the value in the message")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) { _ = OutboxRelayConfiguration(concurrency: 0) }
        await #expect(processExitsWith: .failure) { _ = OutboxRelayConfiguration(cancellationGrace: .seconds(-1)) }
        await #expect(processExitsWith: .failure) { _ = OutboxRelayConfiguration(deadRetention: .zero) }
    }
}

@Suite("OutboxRelay, stopped")
struct OutboxRelayStopTests {
    let bench = Bench()

    @Test("I33: a drained relay ends what is under way and takes nothing more")
    func drains() async throws {
        try await bench.send((0..<10).map { "m\($0)" })
        let gate = Gate()
        let relay = bench.relay(concurrency: 3) { _ in
            await gate.pass()
            try Task.checkCancellation()
        }
        let run = Task { await relay.run() }
        _ = await bench.deliveries.wait(for: 3)
        relay.drain()
        gate.open()
        await run.value
        #expect(bench.deliveries.events.count == 3)
        #expect(await bench.names(3).allSatisfy { $0.hasPrefix("delivered") })
        #expect(try await bench.queue.counts() == RecordCounts(pending: 7, dead: 0))
        await relay.run()
        #expect(bench.deliveries.events.count == 3)
    }

    @Test("an idle relay is drained at once")
    func drainsIdle() async throws {
        let relay = bench.relay { _ in }
        let run = Task { await relay.run() }
        await bench.clock.waitForSleepers(1)
        relay.drain()
        await run.value
        #expect(bench.clock.sleeperCount == 0)
    }

    @Test("a cancelled relay cancels its handlers, gives their messages back, and counts no attempt")
    func cancelled() async throws {
        try await bench.send((0..<5).map { "m\($0)" })
        let relay = bench.relay(concurrency: 3) { _ in try await untilCancelled() }
        let run = Task { await relay.run() }
        _ = await bench.deliveries.wait(for: 3)
        run.cancel()
        await run.value
        #expect(await bench.names(3).allSatisfy { $0.hasPrefix("released") })
        let records = try await bench.memory.page("test", .pending, after: nil, limit: 10).records
        #expect(records.count == 5)
        #expect(records.allSatisfy { $0.attempts == 0 && !$0.isLeased })
        #expect(try await bench.memory.nextDue("test") == .zero)
        #expect(bench.clock.sleeperCount == 0)
    }

    @Test("a delivery that succeeds although the relay was cancelled is done")
    func succeedsAfterCancellation() async throws {
        try await bench.send("m1")
        let gate = Gate()
        let relay = bench.relay { _ in await gate.pass() }
        let run = Task { await relay.run() }
        _ = await bench.deliveries.wait(for: 1)
        run.cancel()
        gate.open()
        await run.value
        #expect(await bench.names(1) == ["delivered m1 1"])
        #expect(try await bench.queue.counts() == RecordCounts(pending: 0, dead: 0))
    }

    @Test("messages that arrive at a relay when it is cancelled are given back without having been tried")
    func cancelledAtTheClaim() async throws {
        try await bench.send("m1", "m2")
        bench.store.fail(.claim, .cancelAfter)
        let relay = bench.relay { _ in }
        await Task { await relay.run() }.value
        #expect(bench.deliveries.events.isEmpty)
        let records = try await bench.memory.page("test", .pending, after: nil, limit: 10).records
        #expect(records.count == 2)
        #expect(records.allSatisfy { $0.attempts == 0 && !$0.isLeased })
    }

    @Test("a relay that is cancelled before it runs takes nothing", arguments: 0..<20)
    func cancelledAtOnce(round: Int) async throws {
        try await bench.send("m1")
        let relay = bench.relay { _ in try Task.checkCancellation() }
        let run = Task { await relay.run() }
        for _ in 0..<round { await Task.yield() }
        run.cancel()
        await run.value
        // Whenever it was: the message is delivered, or there as it was before.
        let records = try await bench.memory.page("test", .pending, after: nil, limit: 10).records
        #expect(records.allSatisfy { $0.attempts == 0 && !$0.isLeased })
        if records.isEmpty { #expect(bench.deliveries.events.count == 1) }
    }
}

@Suite("OutboxRelay, when the store fails")
struct OutboxRelayStoreFailureTests {
    let bench = Bench()
    let resolution = Duration.milliseconds(1)

    @Test("a process that dies between delivery and note delivers again, with the same identity and the next attempt")
    func crash() async throws {
        try await bench.send("m1")
        bench.store.fail(.settle, .before(.failed))
        let dying = bench.relay { _ in }
        let run = Task { await dying.run() }
        #expect(await bench.names(1) == ["notSettled m1"])
        dying.drain()
        await run.value
        bench.clock.advance(by: .seconds(60) + resolution)
        let next = bench.relay { _ in }
        let second = Task { await next.run() }
        #expect(await bench.names(2).last?.hasPrefix("isolated m1 1 after") == true)
        await bench.untilIdle(for: .milliseconds(500) ... .seconds(1) + resolution)
        bench.clock.advance(by: .seconds(1) + resolution)
        #expect(await bench.names(4).suffix(2) == ["isolated m1 1 after 0.0 seconds", "delivered m1 2"])
        next.drain()
        await second.value
        #expect(bench.deliveries.events.map(\.message.id) == ["m1", "m1"])
    }

    @Test("I2: a relay that lost its lease changes nothing of the next one's")
    func stale() async throws {
        try await bench.send("m1")
        bench.store.breakDown([.extend])
        let (first, second) = (Gate(), Gate())
        let relay = bench.relay(concurrency: 1) { _ in await first.pass() }
        let run = Task { await relay.run() }
        _ = await bench.deliveries.wait(for: 1)
        await bench.clock.waitForSleepers(1)
        bench.clock.advance(by: .seconds(60) + resolution)
        let other = bench.relay(queue: OutboxQueue("test", store: bench.memory)) { _ in await second.pass() }
        let otherRun = Task { await other.run() }
        _ = await bench.events.wait(for: 1)
        while bench.deliveries.events.count < 2 {
            bench.clock.advance(by: .milliseconds(100))
            await Task.yield()
        }
        let before = try await bench.memory.page("test", .pending, after: nil, limit: 10)
        relay.drain()
        first.open()
        await run.value
        #expect(await bench.names(3).last == "leaseLost m1")
        let after = try await bench.memory.page("test", .pending, after: nil, limit: 10)
        #expect(after.records.map(\.version) == before.records.map(\.version))
        second.open()
        #expect(await bench.names(4).last == "delivered m1 2")
        other.drain()
        await otherRun.value
    }

    @Test("I3: a delivery that lasts ten leases is not handed to another")
    func renewal() async throws {
        try await bench.send("m1")
        let gate = Gate()
        let relay = bench.relay(timeLimit: .seconds(100_000), lease: .seconds(30)) { _ in await gate.pass() }
        let run = Task { await relay.run() }
        _ = await bench.deliveries.wait(for: 1)
        for _ in 0..<60 {
            await bench.clock.waitForSleepers(2)
            bench.clock.advance(by: .seconds(5))
            // The keeper, and the idle loop.
            await bench.clock.waitForSleepers(2)
            #expect(try await bench.memory.claim("test", limit: 1, lease: .seconds(1)).isEmpty)
        }
        gate.open()
        #expect(await bench.names(1) == ["delivered m1 1"])
        relay.drain()
        await run.value
    }

    @Test("I34: a handler that ignores its cancellation keeps its lease, and no second one starts")
    func deaf() async throws {
        try await bench.send("m1")
        let gate = Gate()
        let relay = bench.relay(timeLimit: .seconds(5), lease: .seconds(30)) { _ in await gate.pass() }
        let run = Task { await relay.run() }
        _ = await bench.deliveries.wait(for: 1)
        for _ in 0..<60 {
            await bench.clock.waitForSleepers(2)
            bench.clock.advance(by: .seconds(5))
        }
        await bench.clock.waitForSleepers(2)
        #expect(bench.deliveries.events.count == 1)
        gate.open()
        #expect(await bench.names(2) == ["overrun m1 1", "delivered m1 1"])
        relay.drain()
        await run.value
    }

    @Test("a note of unknown outcome is made again, and the message is delivered once", arguments: [true, false])
    func unknownOutcome(applied: Bool) async throws {
        try await bench.send("m1")
        bench.store.fail(.settle, applied ? .after(.unknownOutcome) : .before(.unknownOutcome))
        let relay = bench.relay { _ in }
        let run = Task { await relay.run() }
        // The relay's loop, the keeper of the lease, the wait before the next attempt, and the limit of all of them.
        await bench.clock.waitForSleepers(4)
        bench.clock.advance(by: .milliseconds(50))
        #expect(await bench.names(1) == ["delivered m1 1"])
        relay.drain()
        await run.value
        #expect(bench.deliveries.events.count == 1)
        #expect(try await bench.queue.counts() == RecordCounts(pending: 0, dead: 0))
    }

    @Test(
        "while the store is down a relay waits longer and longer, up to a bound, and goes on when it is back",
        arguments: [RecordStoreDouble.Call.claim, .nextDue]
    )
    func storeDown(call: RecordStoreDouble.Call) async throws {
        bench.store.breakDown([call])
        let relay = bench.relay { _ in }
        let run = Task { await relay.run() }
        for count in 1...12 {
            let events = await bench.events.wait(for: count)
            guard case .storeUnavailable(let error, let wait) = events[count - 1] else {
                Issue.record("not unavailable")
                return
            }
            #expect(error.reason == .unavailable)
            #expect(wait <= .seconds(5))
            if call == .claim { #expect(wait >= min(.seconds(5), .milliseconds(100) * (1 << (count - 1))) / 2) }
            await bench.untilIdle(for: wait...wait)
            if count < 12 { bench.clock.advance(by: wait) }
        }
        bench.store.breakDown([])
        try await bench.send("m1")
        await bench.clock.advanceToNextSleeper()
        _ = await bench.deliveries.wait(for: 1)
        relay.drain()
        await run.value
        #expect(bench.deliveries.events.map(\.message.id) == ["m1"])
    }
}

extension Bench {
    /// Waits until nothing sleeps but the relay's loop, for as long as that.
    func untilIdle(for range: ClosedRange<Duration>) async {
        while clock.sleeperCount != 1 || clock.timeToNextSleeper.map(range.contains) != true { await Task.yield() }
    }
}
