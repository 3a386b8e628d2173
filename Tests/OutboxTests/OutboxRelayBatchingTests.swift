import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@testable import Outbox

/// A relay on a simulation's clock whose handlers end at random times during the first settlement.
private struct BatchFixture {
    let clock: ManualClock
    let memory: InMemoryStore
    let store: FaultInjectingStore
    let queue: OutboxQueue
    let relay: OutboxRelay
    let deliveries = ConcurrencyCounter()

    /// - Parameters:
    ///   - simulation: The simulation.
    ///   - concurrency: The number of workers.
    ///   - events: The events of the relay.
    ///   - faults: Returns the fault of a settlement. The first settlement takes 100 milliseconds.
    init(
        _ simulation: Simulation,
        concurrency: Int,
        events: EventRecorder<OutboxEvent> = EventRecorder(),
        faults: @escaping @Sendable (_ ordinal: Int) -> StoreFault? = { $0 == 1 ? .slow(.milliseconds(100)) : nil }
    ) {
        let clock = simulation.clock
        self.clock = clock
        memory = InMemoryStore(clock: clock)
        store = FaultInjectingStore(memory, clock: clock) { call in
            call.operation == .settle ? faults(call.ordinal) : nil
        }
        queue = OutboxQueue("test", store: store, storeFailure: .failClosed(), clock: clock)
        let random = RandomSource(simulation.generator())
        let deliveries = deliveries
        relay = OutboxRelay(
            OutboxRelay.Configuration(concurrency: concurrency),
            queue: queue,
            clock: clock,
            randomness: simulation.generator(),
            observer: events.recordCalls
        ) { delivery in
            deliveries.increment()
            if delivery.message.id == "m0" { return }
            try await clock.sleep(for: .nanoseconds(1 + random.next(upTo: 50_000_000)))
        }
    }

    func send(_ count: Int) async throws {
        for start in stride(from: 0, to: count, by: 100) {
            let messages = (start..<min(count, start + 100)).map {
                OutboxMessage(id: "m\($0)", topic: "t", payload: [])
            }
            _ = try await memory.enqueue(messages.map { queue.record(for: $0) })
        }
    }
}

@Suite("OutboxRelay, several outcomes in a call")
struct OutboxRelayBatchingTests {
    @Test("the outcomes of deliveries that end during a call are settled in the next call", arguments: [2, 12, 128])
    func oneCall(count: Int) throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let fixture = BatchFixture(simulation, concurrency: count)
            try await fixture.send(count)
            let run = simulation.spawn { await fixture.relay.run() }
            try await fixture.clock.sleep(for: .seconds(1))
            simulation.expect(fixture.store.count(of: .settle) == 2, "\(fixture.store.count(of: .settle)) calls")
            simulation.expect(try await fixture.queue.counts().pending == 0, "messages are left")
            simulation.expect(fixture.deliveries.value == count, "\(fixture.deliveries.value) deliveries")
            fixture.relay.drain()
            try await run.value
        }
    }

    @Test("a call contains no more outcomes than the store allows")
    func limit() throws {
        try Simulation.run(seeds: 0..<5) { simulation in
            let fixture = BatchFixture(simulation, concurrency: 300)
            try await fixture.send(300)
            let run = simulation.spawn { await fixture.relay.run() }
            try await fixture.clock.sleep(for: .seconds(1))
            // The first outcome alone, and then 128, 128 and 43 outcomes.
            simulation.expect(fixture.store.count(of: .settle) == 4, "\(fixture.store.count(of: .settle)) calls")
            simulation.expect(try await fixture.queue.counts().pending == 0, "messages are left")
            fixture.relay.drain()
            try await run.value
        }
    }

    @Test(
        "a failed call loses no outcome",
        arguments: [
            StoreFault.failBefore, .reject(.diskFull), .reject(.cancelled), .unknownOutcomeBeforeApply,
            .unknownOutcomeAfterApply, .hang, .hangAfterApply, .reject(.invalid),
        ]
    )
    func failedCall(fault: StoreFault) throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let fixture = BatchFixture(simulation, concurrency: 20) { ordinal in
                ordinal == 1 ? .slow(.milliseconds(100)) : ordinal == 2 ? fault : nil
            }
            try await fixture.send(20)
            let run = simulation.spawn { await fixture.relay.run() }
            try await fixture.clock.sleep(for: .seconds(10))
            simulation.expect(try await fixture.queue.counts().pending == 0, "messages are left")
            simulation.expect(fixture.deliveries.value == 20, "\(fixture.deliveries.value) deliveries")
            // An invalid call is repeated for each outcome.
            let calls = fault == .reject(.invalid) ? 2 + 19 : 3
            simulation.expect(fixture.store.count(of: .settle) == calls, "\(fixture.store.count(of: .settle)) calls")
            fixture.relay.drain()
            try await run.value
        }
    }

    @Test("a stale claim in a call does not affect the other claims")
    func staleClaim() async throws {
        let events = EventRecorder<OutboxEvent>()
        try Simulation.run(seeds: 0..<10) { simulation in
            let fixture = BatchFixture(simulation, concurrency: 12, events: events)
            try await fixture.send(12)
            let run = simulation.spawn { await fixture.relay.run() }
            try await fixture.clock.sleep(for: .milliseconds(80))
            let record = try await fixture.memory.page("test", .pending, after: "m4", limit: 1).records[0]
            let action = Settlement.Action.retry(after: .seconds(1000), countsAttempt: true)
            let taken = Settlement(queue: "test", id: record.id, token: record.version, action)
            simulation.expect(try await fixture.memory.settle([taken]) == [.settled], "the record has another token")
            try await fixture.clock.sleep(for: .seconds(1))
            simulation.expect(try await fixture.queue.counts().pending == 1, "another claim was affected")
            fixture.relay.drain()
            try await run.value
        }
        let names = await events.wait(for: 120).map { event in
            switch event {
            case .delivered: "delivered"
            case .leaseLost(let id): "leaseLost \(id)"
            default: "\(event)"
            }
        }
        #expect(names.count { $0 == "delivered" } == 110 && names.count { $0 == "leaseLost m5" } == 10)
    }

    @Test("a worker takes another message before its outcome is stored, and at most one more")
    func bound() throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let isDown = Lock(true)
            let fixture = BatchFixture(simulation, concurrency: 3) { _ in isDown.withLock { $0 } ? .failBefore : nil }
            try await fixture.send(50)
            let run = simulation.spawn { await fixture.relay.run() }
            try await fixture.clock.sleep(for: .seconds(1))
            simulation.expect(fixture.deliveries.value == 6, "\(fixture.deliveries.value) deliveries")
            isDown.withLock { $0 = false }
            try await fixture.clock.sleep(for: .seconds(10))
            simulation.expect(fixture.deliveries.value == 50, "\(fixture.deliveries.value) deliveries")
            simulation.expect(try await fixture.queue.counts().pending == 0, "messages are left")
            fixture.relay.drain()
            try await run.value
        }
    }

    @Test("a drained relay returns after the outcomes are stored")
    func drain() throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let fixture = BatchFixture(simulation, concurrency: 10) { _ in .slow(.milliseconds(500)) }
            try await fixture.send(10)
            let run = simulation.spawn { await fixture.relay.run() }
            try await fixture.clock.sleep(for: .milliseconds(simulation.random(in: 1...600)))
            fixture.relay.drain()
            try await run.value
            simulation.expect(try await fixture.queue.counts().pending == 0, "messages are left")
            simulation.expect(fixture.deliveries.value == 10, "\(fixture.deliveries.value) deliveries")
        }
    }

    @Test("a delivery does not wait for the time of the next due message")
    func nextDue() throws {
        try Simulation.run(seeds: 0..<5) { simulation in
            let clock = simulation.clock
            let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock) { call in
                call.operation == .nextDue ? .slow(.seconds(1)) : nil
            }
            let queue = OutboxQueue("test", store: store, storeFailure: .failClosed(), clock: clock)
            try await queue.commit([], sending: [OutboxMessage(id: "m1", topic: "t", payload: [])])
            let deliveries = ConcurrencyCounter()
            let relay = OutboxRelay(queue: queue, clock: clock) { _ in deliveries.increment() }
            let run = simulation.spawn { await relay.run() }
            try await clock.sleep(for: .milliseconds(10))
            simulation.expect(deliveries.value == 1, "the delivery waits")
            relay.drain()
            try await run.value
        }
    }
}
