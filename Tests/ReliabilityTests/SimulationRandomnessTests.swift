import Reliability
import ReliabilityTesting
import TestSupport
import Testing

@Suite("Simulation: randomness")
struct SimulationRandomnessTests {
    /// The trace of three callers whose policies have no generator of their own.
    private func trace(_ seed: UInt64) throws -> [String] {
        try Simulation.run(seed: seed) { simulation in
            let retry = RetryPolicy(RetryPolicy.Configuration(.idempotent, maxAttempts: 4), clock: simulation.clock)
            let store = InMemoryStore(clock: simulation.clock)
            let dedup = Deduplicator(
                .replay(retention: .seconds(3600)),
                keyspace: "charges",
                store: store,
                storeFailure: .failClosed(),
                clock: simulation.clock
            )
            let bank = ScriptedDependency(
                [.zero: .healthy(latency: .milliseconds(1)...(.seconds(1)), errorRate: 0.5)],
                clock: simulation.clock
            )
            let chaos = ChaosSwitch(clock: simulation.clock)
            chaos.arm(for: .seconds(5))
            let faults = ChaosPolicy(.failure(TestError()), rate: 0.3, when: chaos)
            for client in 0..<3 {
                simulation.spawn {
                    try? await retry.run { try await faults.run { try await bank.call() } }
                    _ = try await dedup.run("charge", ["customer", "\(client)"]) { _ in [UInt8(client)] }
                    simulation.record("client \(client) has \(CorrelationID.random())")
                }
            }
            await simulation.waitForClients()
            // The claims, with their tokens.
            for item in try await store.scan(StoreKey("charges"), after: nil, limit: 10).entries {
                simulation.record("\(item.entry.value)")
            }
        }
    }

    @Test("policies without a generator repeat their run for one seed and differ for another seed")
    func sameSeed() throws {
        for seed in 0..<10 as Range<UInt64> { #expect(try trace(seed) == trace(seed)) }
        #expect(try trace(1) != trace(2))
    }

    @Test("the system's generator is used outside of a simulation")
    func outside() throws {
        let inside = EventRecorder<CorrelationID>()
        try Simulation.run(seed: 1) { _ in inside.record(.random()) }
        try Simulation.run(seed: 1) { _ in inside.record(.random()) }
        #expect(inside.events[0] == inside.events[1])
        #expect(CorrelationID.random() != CorrelationID.random())
        #expect(CorrelationID.random() != inside.events[0])
    }
}
