import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import TestSupport
import Testing

@testable import Outbox

@Suite("OutboxRelay in a stalled process")
struct OutboxRelayStallTests {
    let fixture = OutboxFixture()

    @Test("a message in delivery is not delivered again after its lease", arguments: [1, 2])
    func running(relays count: Int) async throws {
        try await fixture.send("m1")
        fixture.store.unavailable = [.extend]
        let gate = TaskGate()
        let relays = (0..<count).map { _ in
            fixture.relay(lease: .seconds(1), pollInterval: .milliseconds(500)) { _ in await gate.pass() }
        }
        let runs = relays.map { relay in Task { await relay.run() } }
        _ = await fixture.deliveries.wait(for: 1)
        for _ in 0..<5 {
            // Each relay's loop, the renewal of the lease and the timeout.
            await fixture.clock.waitForSleepers(count + 2)
            fixture.clock.stall(for: .milliseconds(2500))
        }
        await fixture.clock.waitForSleepers(count + 2)
        #expect(fixture.deliveries.events.count == 1)
        fixture.store.unavailable = []
        gate.open()
        #expect(await fixture.names(1) == ["delivered m1 1"])
        for relay in relays { relay.drain() }
        for run in runs { await run.value }
        #expect(fixture.deliveries.events.count == 1)
        #expect(try await fixture.queue.counts() == RecordCounts(pending: 0, deadLetters: 0))
    }

    @Test("a failed delivery that outlasts its lease counts once")
    func failure() async throws {
        try await fixture.send("m1")
        fixture.store.unavailable = [.extend]
        let gate = TaskGate()
        let relay = fixture.relay(lease: .seconds(1), pollInterval: .milliseconds(500)) { _ in
            await gate.pass()
            throw TestError()
        }
        let run = Task { await relay.run() }
        _ = await fixture.deliveries.wait(for: 1)
        // The relay's loop, the renewal of the lease and the timeout.
        await fixture.clock.waitForSleepers(3)
        fixture.clock.stall(for: .milliseconds(2500))
        await fixture.clock.waitForSleepers(3)
        gate.open()
        _ = await fixture.events.wait(for: 1)
        await fixture.clock.waitForSleepers(1)
        fixture.clock.stall(for: .seconds(60))
        _ = await fixture.deliveries.wait(for: 2)
        #expect(fixture.deliveries.events.map(\.attempt) == [1, 2])
        relay.drain()
        await run.value
    }

    @Test("delivered messages are settled after an outage of any length and not delivered again")
    func outage() throws {
        try Simulation.run(seeds: 0..<50) { simulation in
            let clock = simulation.clock
            // Only settlements fail.
            let isDown = Lock(false)
            let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock) { call in
                call.operation == .settle && isDown.withLock { $0 } ? .failBefore : nil
            }
            let queue = OutboxQueue("test", store: store, storeFailure: .failClosed(), clock: clock)
            for id in ["m1", "m2", "m3"] {
                _ = try await store.enqueue([queue.record(for: OutboxMessage(id: id, topic: "t", payload: []))])
            }
            let deliveries = ConcurrencyCounter()
            let configuration = OutboxRelay.Configuration(lease: .seconds(5), pollInterval: .milliseconds(200))
            // The second relay claims messages while the first relay backs off.
            let relays = (0..<2).map { _ in
                OutboxRelay(configuration, queue: queue, clock: clock, randomness: simulation.generator()) { _ in
                    deliveries.increment()
                    try await clock.sleep(for: .milliseconds(500))
                }
            }
            var runs = [simulation.spawn { await relays[0].run() }]
            try await clock.sleep(for: .milliseconds(300))
            isDown.withLock { $0 = true }
            runs.append(simulation.spawn { await relays[1].run() })
            try await clock.sleep(for: .milliseconds(simulation.random(in: 6000...20_000)))
            isDown.withLock { $0 = false }
            try await clock.sleep(for: .seconds(20))
            simulation.expect(deliveries.value == 3, "\(deliveries.value) deliveries of 3 messages")
            let counts = try await queue.counts()
            simulation.expect(counts.pending == 0 && counts.deadLetters == 0, "\(counts)")
            for relay in relays { relay.drain() }
            for run in runs { try await run.value }
        }
    }
}
