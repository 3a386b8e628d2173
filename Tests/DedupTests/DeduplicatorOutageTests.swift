import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import TestSupport
import Testing

@testable import Dedup

@Suite("Results during a store outage")
struct DeduplicatorOutageTests {
    private static let seeds: Range<UInt64> = 0..<20

    @Test(
        "a result is written after a short outage, and the operation does not run again",
        arguments: [StoreFault.failBefore, .reject(.diskFull), .unknownOutcomeBeforeApply, .hang]
    )
    func shortOutage(fault: StoreFault) throws {
        try Simulation.run(seeds: Self.seeds) { simulation in
            let fixture = SimulatedDedupFixture(simulation)
            let first = simulation.spawn { try await fixture.pay() }
            try await fixture.clock.sleep(for: .milliseconds(200))
            fixture.store.outage = fault
            try await fixture.clock.sleep(for: .milliseconds(800))
            fixture.store.outage = nil
            simulation.expect(try await first.value.value == "receipt", "the first caller lost its result")
            try await fixture.clock.sleep(for: .seconds(31))
            simulation.expect(try await fixture.pay().isReplay, "the second call ran")
            simulation.expect(fixture.runs.value == 1, "it ran \(fixture.runs.value) times")
        }
    }

    @Test("a result is written after an outage longer than the caller's wait")
    func longOutage() throws {
        try Simulation.run(seeds: Self.seeds) { simulation in
            let fixture = SimulatedDedupFixture(simulation)
            let start = fixture.clock.now
            let first = simulation.spawn { try await fixture.pay() }
            try await fixture.clock.sleep(for: .milliseconds(200))
            fixture.store.outage = .failBefore
            let result = try await first.value
            simulation.expect(!result.isStored, "it says that it is stored")
            let waited = start.duration(to: fixture.clock.now)
            simulation.expect(waited <= .seconds(4), "the caller waited until \(waited)")
            try await fixture.clock.sleep(for: .seconds(20))
            fixture.store.outage = nil
            try await fixture.clock.sleep(for: .seconds(15))
            simulation.expect(try await fixture.pay().isReplay, "the second call ran")
            simulation.expect(fixture.runs.value == 1, "it ran \(fixture.runs.value) times")
        }
    }

    @Test("a result is written after the cancellation of its caller")
    func cancelledCaller() throws {
        try Simulation.run(seeds: Self.seeds) { simulation in
            let fixture = SimulatedDedupFixture(simulation)
            let first = simulation.spawn { try await fixture.pay() }
            try await fixture.clock.sleep(for: .milliseconds(200))
            fixture.store.outage = .failBefore
            try await fixture.clock.sleep(for: .milliseconds(800))
            first.cancel()
            try await fixture.clock.sleep(for: .seconds(simulation.random(in: 0...10)))
            fixture.store.outage = nil
            simulation.expect(try await first.value.value == "receipt", "the first caller lost its result")
            try await fixture.clock.sleep(for: .seconds(31))
            simulation.expect(try await fixture.pay().isReplay, "the second call ran")
            simulation.expect(fixture.runs.value == 1, "it ran \(fixture.runs.value) times")
        }
    }

    @Test("a late result does not replace the result of a takeover")
    func lostMeanwhile() throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let clock = simulation.clock
            let memory = InMemoryStore(clock: clock)
            let shared = StoreDouble(memory, isShared: true)
            let cutOff = FaultInjectingStore(shared, clock: clock)
            let configuration = Deduplicator.Configuration(.replay(retention: nil), lease: .seconds(5))
            let events = EventRecorder<DedupEvent>()
            func process(_ store: any KeyValueStore) -> Deduplicator {
                Deduplicator(
                    configuration,
                    keyspace: "test",
                    store: store,
                    storeFailure: .failClosed(),
                    clock: clock,
                    localClaims: LocalClaims(),
                    observer: events.recordCalls
                )
            }
            let first = process(cutOff)
            let late = simulation.spawn {
                try await first.run("charge", ["ada", "k1"]) { _ in
                    try await clock.sleep(for: .milliseconds(500))
                    return "first"
                }
            }
            try await clock.sleep(for: .milliseconds(200))
            cutOff.outage = .failBefore
            try await clock.sleep(for: .seconds(simulation.random(in: 5...20)))
            let second = try await process(shared).run("charge", ["ada", "k1"]) { "second \($0.isTakeover)" }
            simulation.expect(second.value == "second true" && second.isStored, "\(second)")
            let entry = try await memory.get(CompositeKey("ada", "k1").storeKey(in: "test", "charge"))
            cutOff.outage = nil
            let result = try await late.value
            simulation.expect(result.value == "first" && !result.isStored, "\(result)")
            try await clock.sleep(for: .seconds(60))
            let now = try await memory.get(CompositeKey("ada", "k1").storeKey(in: "test", "charge"))
            simulation.expect(now == entry, "the first wrote over the second")
        }
    }

    @Test("a result without room is replaced by a record that prevents another run")
    func fullStore() throws {
        try Simulation.run(seeds: 0..<1) { simulation in
            let fixture = SimulatedDedupFixture(simulation, maxBytes: 400)
            let large = String(repeating: "x", count: 1000)
            let result = try await fixture.pay(large)
            simulation.expect(result.value == large, "the first caller lost its result")
            for wait in [Duration.zero, .seconds(31), .seconds(3000)] {
                try await fixture.clock.sleep(for: wait)
                do {
                    _ = try await fixture.pay()
                    simulation.expect(false, "it ran again")
                } catch let error as DedupError {
                    simulation.expect(error.code == "dedup.result_not_kept", "\(error)")
                }
            }
            simulation.expect(fixture.runs.value == 1, "it ran \(fixture.runs.value) times")
        }
    }

    @Test("a result is written when the store has room again")
    func roomAgain() throws {
        try Simulation.run(seeds: 0..<1) { simulation in
            let fixture = SimulatedDedupFixture(simulation, maxBytes: 2000)
            let filler = StoreKey("other", "filler")
            _ = try await fixture.memory.commit([.put(filler, Array(repeating: 0, count: 1500), .never, if: .any)])
            let large = String(repeating: "x", count: 1000)
            let result = try await fixture.pay(large)
            simulation.expect(result.value == large, "the first caller lost its result")
            try await fixture.clock.sleep(for: .seconds(10))
            _ = try await fixture.memory.commit([.delete(filler, if: .any)])
            try await fixture.clock.sleep(for: .seconds(2))
            let again = try await fixture.pay()
            simulation.expect(again.isReplay && again.value == large, "the result was not written")
        }
    }
}
