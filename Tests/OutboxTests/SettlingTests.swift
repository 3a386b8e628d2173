import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import Outbox

@Suite("A delivery that the store cannot take note of for a moment")
struct SettlingTests {
    @Test(
        "is settled when the store is back within the lease, and not made again",
        arguments: [StoreFault.failBefore, .refuse(.diskFull), .unknownOutcomeAfterApply, .hang]
    )
    func outage(fault: StoreFault) throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let clock = simulation.clock
            let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock)
            let queue = OutboxQueue("test", store: store)
            _ = try await store.enqueue([queue.record(for: OutboxMessage(id: "m1", topic: "t", payload: []))])
            let deliveries = Counter()
            let relay = OutboxRelay(queue, OutboxRelayConfiguration(lease: .seconds(60)), clock: clock) { _ in
                deliveries.increment()
                try await clock.sleep(for: .milliseconds(500))
            }
            let run = simulation.spawn { await relay.run() }
            try await clock.sleep(for: .milliseconds(200))
            store.outage = fault
            try await clock.sleep(for: .seconds(simulation.random(in: 1...40)))
            store.outage = nil
            try await clock.sleep(for: .seconds(70))
            let counts = try await queue.counts()
            simulation.expect(counts == RecordCounts(pending: 0, dead: 0), "\(counts)")
            simulation.expect(deliveries.value == 1, "\(deliveries.value) deliveries")
            relay.drain()
            _ = try await run.value
        }
    }

    @Test("does not keep a drained relay from returning while the store is down")
    func drain() throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let clock = simulation.clock
            let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock)
            let queue = OutboxQueue("test", store: store)
            _ = try await store.enqueue([queue.record(for: OutboxMessage(id: "m1", topic: "t", payload: []))])
            let relay = OutboxRelay(queue, clock: clock) { _ in try await clock.sleep(for: .milliseconds(500)) }
            let run = simulation.spawn { await relay.run() }
            try await clock.sleep(for: .milliseconds(200))
            store.outage = .failBefore
            relay.drain()
            let start = clock.now
            _ = try await run.value
            let waited = start.duration(to: clock.now)
            simulation.expect(waited <= .seconds(4), "it returned after \(waited)")
            store.outage = nil
            try await clock.sleep(for: .seconds(2))
            let counts = try await queue.counts()
            simulation.expect(counts == RecordCounts(pending: 0, dead: 0), "\(counts)")
        }
    }
}
