import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import TestSupport
import Testing

@testable import Dedup

@Suite("Deduplicator in a stalled process")
struct DeduplicatorStallTests {
    let fixture = DedupFixture()

    @Test("a running operation is not started again after its lease", arguments: [true, false], [true, false])
    func running(isShared: Bool, isSameDeduplicator: Bool) async throws {
        let store = StoreDouble(fixture.memory, isShared: isShared)
        let dedup = fixture.dedup(lease: .seconds(1), store: store)
        let other = isSameDeduplicator ? dedup : fixture.dedup(lease: .seconds(1), store: store)
        let gate = TaskGate()
        let runs = ConcurrencyCounter()
        let first = Task {
            try await dedup.run("charge", ["ada", "k1"]) { _ in
                runs.increment()
                await gate.pass()
                return "first"
            }
        }
        await gate.waitForArrivals(1)
        // The request arrives before the renewal.
        store.outage = .reject(.unavailable)
        fixture.clock.advance(by: .seconds(86_400))
        if isShared { await fixture.clock.waitForSleepers(1) }
        store.outage = nil
        for _ in 1...8 {
            let error = await #expect(throws: DedupError.self) {
                try await other.run("charge", ["ada", "k1"]) { _ in
                    runs.increment()
                    return "second"
                }
            }
            #expect(error?.reason == .inProgress(retryAfter: .seconds(1)))
        }
        gate.open()
        #expect(try await first.value.isStored)
        #expect(try await other.run("charge", ["ada", "k1"]) { _ in "third" }.value == "first")
        #expect(runs.value == 1)
    }

    @Test("an operation is not started again while its result waits for the store")
    func outage() throws {
        try Simulation.run(seeds: 0..<50) { simulation in
            let fixture = SimulatedDedupFixture(simulation, lease: .seconds(1))
            let first = simulation.spawn { try await fixture.pay() }
            try await fixture.clock.sleep(for: .milliseconds(200))
            fixture.store.outage = .failBefore
            try await fixture.clock.sleep(for: .milliseconds(simulation.random(in: 5000...8000)))
            fixture.store.outage = nil
            // Another deduplicator reaches the store before the writer.
            let other = Deduplicator(
                Deduplicator.Configuration(.replay(retention: nil), lease: .seconds(1)),
                keyspace: "test",
                store: fixture.store,
                storeFailure: .failClosed(),
                clock: fixture.clock,
                localClaims: fixture.process,
                observer: nil
            )
            for _ in 0..<20 {
                _ = try? await other.run("charge", ["ada", "k1"]) { _ in fixture.runs.increment() }
                try await fixture.clock.sleep(for: .milliseconds(100))
            }
            simulation.expect(fixture.runs.value == 1, "it ran \(fixture.runs.value) times")
            simulation.expect(try await fixture.pay().isReplay, "the result was not written")
            _ = try await first.value
        }
    }

    @Test("a claim needs no timer in a store with one owner, and one timer in a shared store")
    func cost() async throws {
        for isShared in [false, true] {
            let dedup = fixture.dedup(store: StoreDouble(fixture.memory, isShared: isShared))
            let result = try await dedup.run("charge", ["ada", "\(isShared)"]) { [clock = fixture.clock] _ in
                #expect(clock.sleeperCount == (isShared ? 1 : 0))
                return ""
            }
            #expect(result.isStored && fixture.clock.sleeperCount == 0)
        }
    }
}
