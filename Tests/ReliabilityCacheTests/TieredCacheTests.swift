import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCache

@Suite("TieredCache: values and leases")
struct TieredCacheTests {
    let fixture = TierFixture()
    let source = Source()
    let gate = TaskGate()

    @Test("a value is loaded once by all processes, and then read from the memory")
    func hit() async throws {
        let (first, second) = (fixture.cache(source), fixture.cache(source))
        for _ in 0..<3 { #expect(try await first.value(for: 1) == 1) }
        for _ in 0..<3 { #expect(try await second.value(for: 1) == 1) }
        #expect(source.loads == 1)
        #expect(first.snapshot.sourceLoads == 1)
        #expect(first.snapshot.fills == 1)
        #expect(second.snapshot.storeHits == 1)
        #expect(second.snapshot.memory.hits == 2)
        #expect(second.cached(1) == 1)
        #expect(second.cached(2) == nil)
    }

    @Test("a miss costs two calls to the store, and a hit of the store costs one call after the first")
    func callCounts() async throws {
        let counted = FaultInjectingStore(fixture.store, clock: fixture.clock)
        var calls: Int { counted.count(of: .commit) + counted.count(of: .get) }
        let first = fixture.cache(source, over: counted)
        #expect(try await first.value(for: 1) == 1)
        #expect(calls == 2)
        let second = fixture.cache(source, over: counted)
        // The first hit also reads the record of the whole keyspace.
        #expect(try await second.value(for: 1) == 1)
        #expect(calls == 4)
        #expect(try await first.value(for: 3) == 1)
        #expect(try await second.value(for: 3) == 1)
        #expect(calls == 7)
    }

    @Test("C23: the load of another process is waited for, and its value is used")
    func leaseWait() throws {
        try Simulation.run(seeds: 0..<50) { [source] simulation in
            let fixture = TierFixture(clock: simulation.clock)
            let loads = Lock(0)
            let caches = (0..<4).map { _ in
                TieredCache<Int, Int>(
                    TierFixture.configuration(),
                    coding: TierFixture.coding(),
                    keyspace: "numbers",
                    store: fixture.store,
                    storeFailure: .failOpen(),
                    clock: simulation.clock
                ) { _ in
                    loads.withLock { $0 += 1 }
                    // The load is longer than the lease, which is renewed.
                    try await simulation.clock.sleep(for: .seconds(8))
                    return source.value
                }
            }
            for cache in caches {
                simulation.spawn {
                    let value = try? await cache.value(for: 1)
                    simulation.expect(value == 1, "the value is \(value.map(String.init) ?? "missing")")
                }
            }
            await simulation.waitForClients()
            simulation.expect(loads.withLock { $0 } == 1, "\(loads.withLock { $0 }) loads")
            let waits = caches.map(\.snapshot.leaseWaits).reduce(0, +)
            simulation.expect(waits == 3, "\(waits) waits")
        }
    }

    @Test("C5: a fill conflicts after an invalidation by another process, and the value is in neither tier")
    func invalidationDuringLoad() async throws {
        let (first, second) = (fixture.cache(source), fixture.cache(source))
        source.gate = gate
        let read = Task { try await first.value(for: 1) }
        await gate.waitForArrivals(1)
        (source.value, source.gate) = (2, nil)
        #expect(await second.invalidate(1).isConfirmed)
        gate.open()
        #expect(try await read.value == 1)
        #expect(first.cached(1) == nil)
        #expect(try await fixture.entry(1) == nil)
        #expect(first.snapshot.rejectedFills == 1)
        #expect(try await first.value(for: 1) == 2)
        #expect(try await second.value(for: 1) == 2)
        #expect(source.loads == 2)
    }

    @Test("C5: a fill conflicts after a later load of another process, also after that value has gone")
    func laterLoad() async throws {
        let (first, second) = (fixture.cache(source), fixture.cache(source))
        source.gate = gate
        let read = Task { try await first.value(for: 1) }
        await gate.waitForArrivals(1)
        (source.value, source.gate) = (2, nil)
        #expect(try await second.value(for: 1, .fresh) == 2)
        gate.open()
        #expect(try await read.value == 1)
        #expect(first.cached(1) == nil)
        #expect(try await first.value(for: 1) == 2)
        #expect(source.loads == 2)
    }

    @Test("C5: a fill conflicts after the end of its lease")
    func endedLease() async throws {
        // No renewal is made while the store rejects the writes of leases.
        let first = fixture.cache(source)
        source.gate = gate
        let read = Task { try await first.value(for: 1) }
        await gate.waitForArrivals(1)
        fixture.store.outage = .reject(.unavailable)
        for _ in 0..<6 {
            fixture.clock.stall(for: .seconds(1))
            await Task.yield()
        }
        fixture.store.outage = nil
        gate.open()
        #expect(try await read.value == 1)
        #expect(first.snapshot.rejectedFills == 1)
        #expect(first.cached(1) == nil)
        #expect(try await fixture.entry(1) == nil)
    }

    @Test("C23: after the death of a lease's holder, another process loads at the end of the lease and not before")
    func deadHolder() throws {
        try Simulation.run(seed: 1) { [source] simulation in
            let fixture = TierFixture(clock: simulation.clock)
            let place = TierKeys(keyspace: "numbers").place(["1"])
            _ = try await fixture.store.memory.commit(
                .put(place.lease, LeaseRecord.loading.bytes, .after(.seconds(5)), if: .absent)
            )
            let cache = fixture.cache(source)
            let began = simulation.clock.now
            let value = try await cache.value(for: 1)
            let took = began.duration(to: simulation.clock.now)
            simulation.expect(value == 1, "the value is \(value)")
            // A store may round the end of a life up by less than a millisecond.
            simulation.expect(took >= .seconds(5) && took < .milliseconds(5001), "the call took \(took)")
        }
    }

    @Test("C23: a call leaves a wait for another process at its own deadline")
    func deadlineDuringWait() async throws {
        let place = TierKeys(keyspace: "numbers").place(["1"])
        _ = try await fixture.store.memory.commit(
            .put(place.lease, LeaseRecord.loading.bytes, .after(.seconds(5)), if: .absent)
        )
        let cache = fixture.cache(source)
        let scope = DeadlineScope(Deadline(instant: 1_000_000_000, timeSource: TimeSource(fixture.clock)))
        let read = Task {
            try await DeadlineScope.$innermost.withValue(scope) { try await cache.value(for: 1) }
        }
        while cache.snapshot.leaseWaits == 0 { await Task.yield() }
        fixture.clock.stall(for: .seconds(1))
        await #expect(throws: CacheError.self) { try await read.value }
        #expect(source.loads == 0)
    }

    @Test("C30: after a restart, the stored values are used without a load")
    func restart() async throws {
        let before = fixture.cache(source)
        for key in 0..<100 { #expect(try await before.value(for: key) == 1) }
        let after = fixture.cache(source)
        for key in 0..<100 { #expect(try await after.value(for: key) == 1) }
        #expect(source.loads == 100)
        #expect(after.snapshot.storeHits == 100)
    }

    @Test("a failed load ends its lease, so the next call loads without a wait")
    func failedLoad() async throws {
        let (first, second) = (fixture.cache(source), fixture.cache(source))
        source.error = TestError()
        await #expect(throws: TestError.self) { try await first.value(for: 1) }
        source.error = nil
        #expect(try await second.value(for: 1) == 1)
        #expect(source.loads == 2)
        #expect(second.snapshot.leaseWaits == 0)
    }

    @Test("C14: a load that ignores its time limit loses its lease, and the key can be loaded anew")
    func endlessLoad() throws {
        try Simulation.run(seed: 1) { [source] simulation in
            let fixture = TierFixture(clock: simulation.clock)
            let (first, second) = (fixture.cache(source), fixture.cache(source))
            let gate = TaskGate()
            source.gate = gate
            let read = simulation.spawn { try await first.value(for: 1) }
            await gate.waitForArrivals(1)
            source.gate = nil
            source.value = 2
            let error = await #expect(throws: CacheError.self) { try await read.value }
            simulation.expect(error?.reason == .loadTimeout, "the error is \(error.map(String.init) ?? "missing")")
            let began = simulation.clock.now
            let values = try await [first.value(for: 1), second.value(for: 1)]
            let took = began.duration(to: simulation.clock.now)
            simulation.expect(values == [2, 2], "the values are \(values)")
            simulation.expect(took < .milliseconds(5001), "the calls took \(took)")
            gate.open()
        }
    }
}
