import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import Outbox

@Suite("A process that stood still for longer than the lease of a message")
struct RelayStandstillTests {
    let bench = Bench()

    @Test("does not deliver a message that it is delivering", arguments: [1, 2])
    func standstill(relays count: Int) async throws {
        try await bench.send("m1")
        bench.store.breakDown([.extend])
        let gate = Gate()
        let relays = (0..<count).map { _ in
            bench.relay(lease: .seconds(1), pollInterval: .milliseconds(500)) { _ in await gate.pass() }
        }
        let runs = relays.map { relay in Task { await relay.run() } }
        _ = await bench.deliveries.wait(for: 1)
        for _ in 0..<5 {
            // Each relay's loop, the keeper of the lease, and the time limit.
            await bench.clock.waitForSleepers(count + 2)
            bench.clock.stall(for: .milliseconds(2500))
        }
        await bench.clock.waitForSleepers(count + 2)
        #expect(bench.deliveries.events.count == 1)
        bench.store.breakDown([])
        gate.open()
        #expect(await bench.names(1) == ["delivered m1 1"])
        for relay in relays { relay.drain() }
        for run in runs { await run.value }
        #expect(bench.deliveries.events.count == 1)
        #expect(try await bench.queue.counts() == RecordCounts(pending: 0, dead: 0))
    }

    @Test("counts a delivery once that outlasted its lease and failed")
    func failure() async throws {
        try await bench.send("m1")
        bench.store.breakDown([.extend])
        let gate = Gate()
        let relay = bench.relay(lease: .seconds(1), pollInterval: .milliseconds(500)) { _ in
            await gate.pass()
            throw Flaky()
        }
        let run = Task { await relay.run() }
        _ = await bench.deliveries.wait(for: 1)
        // The relay's loop, the keeper of the lease, and the time limit.
        await bench.clock.waitForSleepers(3)
        bench.clock.stall(for: .milliseconds(2500))
        await bench.clock.waitForSleepers(3)
        gate.open()
        _ = await bench.events.wait(for: 1)
        await bench.clock.waitForSleepers(1)
        bench.clock.stall(for: .seconds(60))
        _ = await bench.deliveries.wait(for: 2)
        #expect(bench.deliveries.events.map(\.attempt) == [1, 2])
        relay.drain()
        await run.value
    }

    @Test("settles what it delivered when its store is back, however long the outage, and does not deliver it again")
    func outage() throws {
        try Simulation.run(seeds: 0..<50) { simulation in
            let clock = simulation.clock
            // Only what became of deliveries is not taken.
            let isDown = Lock(false)
            let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock) { call in
                call.operation == .settle && isDown.withLock { $0 } ? .failBefore : nil
            }
            let queue = OutboxQueue("test", store: store)
            for id in ["m1", "m2", "m3"] {
                _ = try await store.enqueue([queue.record(for: OutboxMessage(id: id, topic: "t", payload: []))])
            }
            let deliveries = Counter()
            let configuration = OutboxRelayConfiguration(lease: .seconds(5), pollInterval: .milliseconds(200))
            // The second relay asks for messages when the first, whose calls fail, does not.
            let relays = (0..<2).map { _ in
                OutboxRelay(queue, configuration, clock: clock, randomness: simulation.generator()) { _ in
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
            simulation.expect(counts.pending == 0 && counts.dead == 0, "\(counts)")
            for relay in relays { relay.drain() }
            for run in runs { try await run.value }
        }
    }
}
