import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import TestSupport
import Testing

@Suite("OutboxRelay during store failures")
struct OutboxRelayStoreFailureTests {
    let fixture = OutboxFixture()

    @Test("an unsettled delivery is repeated with the same identity and the next attempt")
    func crash() async throws {
        try await fixture.send("m1")
        fixture.store.failNext(.settle, with: .reject(.failed))
        let dying = fixture.relay { _ in }
        let run = Task { await dying.run() }
        #expect(await fixture.names(1) == ["notSettled m1"])
        dying.drain()
        await run.value
        fixture.clock.advance(by: .seconds(60) + resolution)
        let next = fixture.relay { _ in }
        let second = Task { await next.run() }
        #expect(await fixture.names(2).last?.hasPrefix("isolated m1 1 after") == true)
        await fixture.untilIdle(for: .milliseconds(500) ... .seconds(1) + resolution)
        fixture.clock.advance(by: .seconds(1) + resolution)
        #expect(await fixture.names(4).suffix(2) == ["isolated m1 1 after 0.0 seconds", "delivered m1 2"])
        next.drain()
        await second.value
        #expect(fixture.deliveries.events.map(\.message.id) == ["m1", "m1"])
    }

    @Test("a relay without its lease does not change the next relay's record")
    func stale() async throws {
        try await fixture.send("m1")
        fixture.store.unavailable = [.extend]
        let (first, second) = (TaskGate(), TaskGate())
        let relay = fixture.relay(concurrency: 1) { _ in await first.pass() }
        let run = Task { await relay.run() }
        _ = await fixture.deliveries.wait(for: 1)
        await fixture.clock.waitForSleepers(1)
        fixture.clock.advance(by: .seconds(60) + resolution)
        let other = fixture.relay(queue: OutboxQueue("test", store: fixture.memory, storeFailure: .failClosed())) { _ in
            await second.pass()
        }
        let otherRun = Task { await other.run() }
        _ = await fixture.events.wait(for: 1)
        while fixture.deliveries.events.count < 2 {
            fixture.clock.advance(by: .milliseconds(100))
            await Task.yield()
        }
        let before = try await fixture.memory.page("test", .pending, after: nil, limit: 10)
        relay.drain()
        first.open()
        await run.value
        #expect(await fixture.names(3).last == "leaseLost m1")
        let after = try await fixture.memory.page("test", .pending, after: nil, limit: 10)
        #expect(after.records.map(\.version) == before.records.map(\.version))
        second.open()
        #expect(await fixture.names(4).last == "delivered m1 2")
        other.drain()
        await otherRun.value
    }

    /// Starts a relay with a lease of 30 seconds and a delivery that lasts until its gate is opened.
    private func startDelivery(timeout: Duration) async throws -> (TaskGate, OutboxRelay, Task<Void, Never>) {
        try await fixture.send("m1")
        let gate = TaskGate()
        let relay = fixture.relay(deliveryTimeout: timeout, lease: .seconds(30)) { _ in await gate.pass() }
        let run = Task { await relay.run() }
        _ = await fixture.deliveries.wait(for: 1)
        return (gate, relay, run)
    }

    @Test("a delivery that lasts ten leases is not handed out again")
    func renewal() async throws {
        let (gate, relay, run) = try await startDelivery(timeout: .seconds(100_000))
        for _ in 0..<60 {
            await fixture.clock.waitForSleepers(2)
            fixture.clock.advance(by: .seconds(5))
            // The renewal of the lease and the idle loop.
            await fixture.clock.waitForSleepers(2)
            #expect(try await fixture.memory.claim("test", limit: 1, lease: .seconds(1)).isEmpty)
        }
        gate.open()
        #expect(await fixture.names(1) == ["delivered m1 1"])
        relay.drain()
        await run.value
    }

    @Test("a handler that ignores its cancellation keeps its lease and is not started again")
    func ignoredCancellation() async throws {
        let (gate, relay, run) = try await startDelivery(timeout: .seconds(5))
        for _ in 0..<60 {
            await fixture.clock.waitForSleepers(2)
            fixture.clock.advance(by: .seconds(5))
        }
        await fixture.clock.waitForSleepers(2)
        #expect(fixture.deliveries.events.count == 1)
        gate.open()
        #expect(await fixture.names(2) == ["overrun m1 1", "delivered m1 1"])
        relay.drain()
        await run.value
    }

    @Test("a settlement of unknown outcome is repeated, and the message is delivered once", arguments: [true, false])
    func unknownOutcome(applied: Bool) async throws {
        try await fixture.send("m1")
        fixture.store.failNext(.settle, with: applied ? .unknownOutcomeAfterApply : .reject(.unknownOutcome))
        let relay = fixture.relay { _ in }
        let run = Task { await relay.run() }
        // The relay's loop, the renewal of the lease, the wait before the next attempt and the end of all attempts.
        await fixture.clock.waitForSleepers(4)
        fixture.clock.advance(by: .milliseconds(50))
        #expect(await fixture.names(1) == ["delivered m1 1"])
        relay.drain()
        await run.value
        #expect(fixture.deliveries.events.count == 1)
        #expect(try await fixture.queue.counts() == RecordCounts(pending: 0, deadLetters: 0))
    }

    @Test(
        "the relay waits longer up to a bound while the store is down, and resumes when it recovers",
        arguments: [StoreDouble.Operation.claim, .nextDue]
    )
    func storeDown(call: StoreDouble.Operation) async throws {
        fixture.store.unavailable = [call]
        let relay = fixture.relay { _ in }
        let run = Task { await relay.run() }
        for count in 1...12 {
            await fixture.untilIdle(for: .zero ... .seconds(5))
            let wait = try #require(fixture.clock.timeToNextSleeper)
            if call == .claim { #expect(wait >= min(.seconds(5), .milliseconds(100) * (1 << (count - 1))) / 2) }
            if count < 12 { fixture.clock.advance(by: wait) }
        }
        fixture.store.unavailable = []
        try await fixture.send("m1")
        await fixture.clock.advanceToNextSleeper()
        _ = await fixture.deliveries.wait(for: 1)
        relay.drain()
        await run.value
        #expect(fixture.deliveries.events.map(\.message.id) == ["m1"])
        await ObserverDelivery.flush(within: .seconds(3600))
        let changes = fixture.storeEvents.events.compactMap { event -> String? in
            switch event {
            case .storeDown(let error): "down \(error.reason)"
            case .storeRecovered: "recovered"
            default: nil
            }
        }
        #expect(changes.first == "down unavailable" && changes.last == "recovered")
        if call == .claim { #expect(changes == ["down unavailable", "recovered"]) }
    }
}

@Suite("OutboxRelay after a permanent store failure")
struct OutboxRelayPermanentFailureTests {
    @Test(
        "the relay reports the failure once, finishes its deliveries and returns",
        arguments: [StoreError.Reason.closed, .failed, .readOnly]
    )
    func stops(reason: StoreError.Reason) async throws {
        let events = EventRecorder<OutboxEvent>()
        try Simulation.run(seeds: 0..<20) { simulation in
            let clock = simulation.clock
            let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock)
            let queue = OutboxQueue("test", store: store, storeFailure: .failClosed(), clock: clock)
            try await queue.commit([], sending: [OutboxMessage(id: "m1", topic: "t", payload: [])])
            let delivered = ConcurrencyCounter()
            let relay = OutboxRelay(
                queue: queue,
                clock: clock,
                randomness: simulation.generator(),
                observer: events.recordCalls
            ) { _ in
                try await clock.sleep(for: .seconds(2))
                delivered.increment()
            }
            let run = simulation.spawn { await relay.run() }
            try await clock.sleep(for: .seconds(1))
            store.outage = .reject(reason)
            relay.wake()
            let start = clock.now
            _ = try await run.value
            simulation.expect(start.duration(to: clock.now) < .seconds(2), "it returned late")
            simulation.expect(delivered.value == 1, "\(delivered.value) deliveries")
        }
        // Each run also has an event for the delivery that could not be settled.
        let stops = await events.wait(for: 40).filter { event in
            if case .stopped(let error) = event { error.reason == reason } else { false }
        }
        #expect(stops.count == 20 && events.events.count == 40)
    }

    @Test("the relay stops if only nextDue fails permanently")
    func nextDue() async {
        let fixture = OutboxFixture()
        fixture.store.failNext(.nextDue, with: .reject(.closed))
        let relay = fixture.relay { _ in }
        await relay.run()
        #expect(await fixture.names(1) == ["stopped store.closed"])
    }
}
