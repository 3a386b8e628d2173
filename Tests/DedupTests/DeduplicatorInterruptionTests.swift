import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@testable import Dedup

@Suite("Deduplicator, cancellation at every instant")
struct DeduplicatorInterruptionTests {
    @Test(
        "an operation that has returned never runs again, whenever its caller is cancelled",
        arguments: [
            StoreFault.slow(.milliseconds(10)), .unknownOutcomeAfterApply, .unknownOutcomeBeforeApply, .failBefore,
        ]
    )
    func returned(fault: StoreFault) throws {
        // The claim, the operation and the settlement take ten milliseconds each.
        for instant in 0...35 {
            try Simulation.run(seeds: 0..<3) { simulation in
                let clock = simulation.clock
                let hasLeft = Lock(false)
                let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock) { call in
                    if hasLeft.withLock({ $0 }) { return nil }
                    // A slow claim and settlement, or a failure of the first attempt to settle.
                    let isFaulty = fault == .slow(.milliseconds(10)) ? call.ordinal <= 2 : call.ordinal == 2
                    return call.operation == .commit && isFaulty ? fault : nil
                }
                let dedup = Deduplicator(
                    .replay(retention: nil),
                    keyspace: "test",
                    store: store,
                    storeFailure: .failClosed(),
                    clock: clock,
                    localClaims: LocalClaims(),
                    observer: nil
                )
                let (started, returned) = (ConcurrencyCounter(), ConcurrencyCounter())
                let call = { @Sendable () async throws in
                    try await dedup.run("charge", ["ada", "k1"]) { _ in
                        started.increment()
                        try await clock.sleep(for: .milliseconds(10))
                        returned.increment()
                        return "receipt"
                    }
                }
                let first = simulation.spawn { try await call() }
                try await clock.sleep(for: .milliseconds(instant))
                first.cancel()
                _ = try? await first.value
                try await clock.sleep(for: .seconds(5))
                hasLeft.withLock { $0 = true }
                let hadReturned = returned.value == 1
                let second = try await call()
                simulation.expect(second.isReplay == hadReturned, "the second call replays: \(second.isReplay)")
                simulation.expect(second.value == "receipt", "the second call got \(second.value)")
                simulation.expect(returned.value == 1, "the operation returned \(returned.value) times")
                simulation.expect(try await call().isReplay, "the third call ran")
            }
        }
    }

    @Test("an operation that throws after its cancellation leaves no claim, whenever its caller is cancelled")
    func threw() throws {
        for instant in 0...35 {
            try Simulation.run(seeds: 0..<3) { simulation in
                let clock = simulation.clock
                let memory = InMemoryStore(clock: clock)
                let store = FaultInjectingStore(memory, clock: clock) { _ in .slow(.milliseconds(10)) }
                let dedup = Deduplicator(
                    .replay(retention: nil),
                    keyspace: "test",
                    store: store,
                    storeFailure: .failClosed(),
                    clock: clock,
                    localClaims: LocalClaims(),
                    observer: nil
                )
                let first = simulation.spawn {
                    try await dedup.run("charge", ["ada", "k1"]) { _ in
                        try await clock.sleep(for: .milliseconds(10))
                        throw CancellationError()
                    }
                }
                try await clock.sleep(for: .milliseconds(instant))
                first.cancel()
                _ = try? await first.value
                try await clock.sleep(for: .seconds(5))
                let entries = try await memory.scan(StoreKey("test"), after: nil, limit: 10).entries
                simulation.expect(entries.isEmpty, "a claim is left")
            }
        }
    }
}
