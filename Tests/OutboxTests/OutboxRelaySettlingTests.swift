import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@testable import Outbox

@Suite("OutboxRelay, settling during an outage")
struct OutboxRelaySettlingTests {
    @Test(
        "a delivery is settled after an outage within the lease and not repeated",
        arguments: [StoreFault.failBefore, .reject(.diskFull), .unknownOutcomeAfterApply, .hang]
    )
    func outage(fault: StoreFault) throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let clock = simulation.clock
            let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock)
            let queue = OutboxQueue("test", store: store, storeFailure: .failClosed(), clock: clock)
            _ = try await store.enqueue([queue.record(for: OutboxMessage(id: "m1", topic: "t", payload: []))])
            let deliveries = ConcurrencyCounter()
            let relay = OutboxRelay(OutboxRelay.Configuration(lease: .seconds(60)), queue: queue, clock: clock) { _ in
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
            simulation.expect(counts == RecordCounts(pending: 0, deadLetters: 0), "\(counts)")
            simulation.expect(deliveries.value == 1, "\(deliveries.value) deliveries")
            relay.drain()
            _ = try await run.value
        }
    }

    @Test("an outage does not keep a drained relay from returning")
    func drain() throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let clock = simulation.clock
            let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock)
            let queue = OutboxQueue("test", store: store, storeFailure: .failClosed(), clock: clock)
            _ = try await store.enqueue([queue.record(for: OutboxMessage(id: "m1", topic: "t", payload: []))])
            let relay = OutboxRelay(queue: queue, clock: clock) { _ in try await clock.sleep(for: .milliseconds(500)) }
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
            simulation.expect(counts == RecordCounts(pending: 0, deadLetters: 0), "\(counts)")
        }
    }
}
