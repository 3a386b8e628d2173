import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCache

@Suite("TieredCache: failures of the store")
struct TierOutageTests {
    let source = Source()

    @Test("C41: a store that is down means misses and no errors, and local hits cost nothing")
    func down() async throws {
        let fixture = TierFixture()
        let cache = fixture.cache(source)
        fixture.store.outage = .reject(.unavailable)
        for _ in 0..<3 { #expect(try await cache.value(for: 1) == 1) }
        #expect(source.loads == 1)
        #expect(cache.snapshot.loadsWithoutStore == 1)
        fixture.store.outage = nil
        fixture.clock.stall(for: .seconds(5))
        #expect(try await cache.value(for: 1) == 1)
        #expect(cache.snapshot.fills == 1)
    }

    @Test("with failClosed, a store that is down rejects the call")
    func failClosed() async throws {
        let fixture = TierFixture()
        let cache = fixture.cache(source, storeFailure: .failClosed())
        fixture.store.outage = .reject(.unavailable)
        let error = await #expect(throws: CacheError.self) { try await cache.value(for: 1) }
        #expect(error?.reason == .storeUnavailable)
        #expect(source.loads == 0)
    }

    @Test("C41: a hanging store costs a call one time limit, wherever it begins to hang", arguments: 0..<3)
    func hanging(_ answered: Int) throws {
        try Simulation.run(seed: 1) { [source] simulation in
            let fixture = TierFixture(clock: simulation.clock, canStall: true)
            let cache = fixture.cache(source, storeFailure: .failOpen(timeout: .seconds(2)))
            // The first calls are answered, and all later calls hang.
            for call in 0..<4 { fixture.store.failNext(.commit, with: call < answered ? nil : .hang) }
            let began = simulation.clock.now
            let value = try await cache.value(for: 1)
            let took = began.duration(to: simulation.clock.now)
            simulation.expect(value == 1, "the value is \(value)")
            simulation.expect(took == (answered == 2 ? .zero : .seconds(2)), "the call took \(took)")
            let again = try await cache.value(for: 1)
            simulation.expect(again == 1 && source.loads == 1, "the memory has no copy")
        }
    }

    @Test("C41: after three failures the store receives one probe a second, and is used again after its recovery")
    func probes() async throws {
        let fixture = TierFixture(canStall: true)
        let counted = FaultInjectingStore(fixture.store, clock: fixture.clock)
        let cache = fixture.cache(source, over: counted)
        counted.outage = .failBefore
        for key in 0..<20 { #expect(try await cache.value(for: key) == 1) }
        #expect(counted.count(of: .commit) == 3)
        fixture.clock.stall(for: .seconds(1))
        for key in 20..<40 { #expect(try await cache.value(for: key) == 1) }
        #expect(counted.count(of: .commit) == 4)
        counted.outage = nil
        fixture.clock.stall(for: .seconds(1))
        for key in 40..<60 { #expect(try await cache.value(for: key) == 1) }
        #expect(cache.snapshot.fills == 20)
    }

    @Test("C22: while the store is down, the loads of the source remain within their limit")
    func boundedLoads() async throws {
        let fixture = TierFixture()
        var configuration = TierFixture.configuration()
        configuration.cache.maxConcurrentLoads = 3
        let cache = fixture.cache(source, configuration)
        fixture.store.outage = .reject(.unavailable)
        let gate = TaskGate()
        source.gate = gate
        let reads = (0..<30).map { key in Task { try await cache.value(for: key) } }
        while cache.snapshot.memory.waitingLoads < 27 { await Task.yield() }
        #expect(source.loads == 3)
        gate.open()
        for read in reads { #expect(try await read.value == 1) }
    }

    @Test("C8: an invalidation that the store did not confirm is repeated, and the store is not read meanwhile")
    func unconfirmed() async throws {
        let fixture = TierFixture()
        let events = EventRecorder<String>()
        let cache = fixture.cache(source) { event in
            switch event {
            case .invalidationPending, .invalidationsConfirmed: events.record("\(event)")
            default: break
            }
        }
        #expect(try await cache.value(for: 1) == 1)
        source.value = 2
        fixture.store.outage = .reject(.unavailable)
        let mark = await cache.invalidate(1)
        #expect(!mark.isConfirmed)
        #expect(cache.snapshot.pendingInvalidations == 1)
        // Only the answers of commits fail from now on. A read of the store would find the old value.
        fixture.store.outage = nil
        fixture.store.unavailable = [.commit]
        #expect(try await cache.value(for: 1) == 2)
        #expect(cache.snapshot.loadsWithoutStore == 1)
        #expect(try await fixture.entry(1) != nil)
        fixture.store.unavailable = []
        while cache.snapshot.pendingInvalidations > 0 {
            fixture.clock.stall(for: .milliseconds(50))
            await Task.yield()
        }
        #expect(try await fixture.entry(1) == nil)
        _ = await events.wait(for: 2)
        #expect(events.events == ["invalidationPending(count: 1)", "invalidationsConfirmed"])
        fixture.clock.stall(for: .seconds(5))
        #expect(try await cache.value(for: 1) == 2)
        #expect(cache.snapshot.fills == 2)
    }

    @Test(
        "C8: an unconfirmed invalidation of a tag or of everything hides the stored values",
        arguments: [true, false]
    )
    func unconfirmedTag(_ isTag: Bool) async throws {
        let fixture = TierFixture()
        let cache = fixture.cache(source)
        #expect(try await cache.value(for: 0) == 1)
        source.value = 2
        fixture.store.failNext(.commit, with: .reject(.unavailable))
        let mark = isTag ? await cache.invalidate(tag: "even") : await cache.invalidateAll()
        #expect(!mark.isConfirmed)
        #expect(try await cache.value(for: 0) == 2)
    }

    @Test("C8: the invalidation of a cancelled task is made all the same")
    func cancelled() async throws {
        let fixture = TierFixture()
        let cache = fixture.cache(source)
        #expect(try await cache.value(for: 1) == 1)
        let task = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return await cache.invalidate(1)
        }
        #expect(await !task.value.isConfirmed)
        while cache.snapshot.pendingInvalidations > 0 {
            fixture.clock.stall(for: .milliseconds(50))
            await Task.yield()
        }
        #expect(try await fixture.entry(1) == nil)
    }

    @Test("C8: a full list of invalidations becomes one invalidation of the whole keyspace")
    func overflow() async throws {
        let fixture = TierFixture()
        var configuration = TierFixture.configuration()
        configuration.maxPendingInvalidations = 3
        let cache = fixture.cache(source, configuration)
        for key in 0..<10 { #expect(try await cache.value(for: key) == 1) }
        source.value = 2
        fixture.store.outage = .reject(.unavailable)
        for key in 0..<5 { await cache.invalidate(key) }
        #expect(cache.snapshot.pendingInvalidations <= 3)
        // Nothing is read from the store, because the list no longer names the keys.
        fixture.clock.stall(for: .seconds(5))
        fixture.store.outage = nil
        fixture.store.unavailable = [.commit]
        for key in 0..<10 { #expect(try await cache.value(for: key) == 2) }
        fixture.store.unavailable = []
        while cache.snapshot.pendingInvalidations > 0 {
            fixture.clock.stall(for: .milliseconds(50))
            await Task.yield()
        }
        let other = fixture.cache(source)
        for key in 0..<10 { #expect(try await other.value(for: key) == 2) }
    }

    @Test("C8: the invalidation in the place of a full list is made also if the store confirms every other write")
    func overflowWithoutFailure() async throws {
        let fixture = TierFixture()
        var configuration = TierFixture.configuration()
        configuration.maxPendingInvalidations = 1
        let cache = fixture.cache(source, configuration)
        let first = cache.tier.begin([cache.target(1)])
        #expect(await cache.invalidate(2).isConfirmed)
        #expect(await cache.tier.write(first).isConfirmed)
        for _ in 0..<10_000 where cache.snapshot.pendingInvalidations > 0 {
            fixture.clock.stall(for: .milliseconds(50))
            await Task.yield()
        }
        #expect(cache.snapshot.pendingInvalidations == 0)
        #expect(try await cache.value(for: 1) == 1)
        #expect(cache.snapshot.fills == 1)
    }

    @Test("C8: after a permanent error, the next invalidation repeats the earlier invalidations too")
    func permanentError() async throws {
        let fixture = TierFixture()
        let cache = fixture.cache(source)
        fixture.store.failNext(.commit, with: .reject(.readOnly), .reject(.readOnly))
        #expect(await !cache.invalidate(1).isConfirmed)
        while !cache.tier.state.withLock({ $0.pending.isRepetitionDue }) {
            fixture.clock.stall(for: .milliseconds(50))
            await Task.yield()
        }
        #expect(await cache.invalidate(2).isConfirmed)
        for _ in 0..<10_000 where cache.snapshot.pendingInvalidations > 0 {
            fixture.clock.stall(for: .milliseconds(50))
            await Task.yield()
        }
        #expect(cache.snapshot.pendingInvalidations == 0)
    }

    @Test("C23: a lease of a cancelled load, or of a load whose value the store refused, delays no other process")
    func unusedLease() throws {
        let scripts: [[StoreDouble.Fault?]] = [[.cancelAfter], [nil, .reject(.capacityExceeded)]]
        for script in scripts {
            try Simulation.run(seed: 1) { [source] simulation in
                let fixture = TierFixture(clock: simulation.clock)
                for fault in script { fixture.store.failNext(.commit, with: fault) }
                let first = fixture.cache(source)
                _ = try? await first.value(for: 1)
                // The end of the lease is a write in the background.
                try await simulation.clock.sleep(for: .milliseconds(1))
                let began = simulation.clock.now
                let value = try await fixture.cache(source).value(for: 1)
                let took = began.duration(to: simulation.clock.now)
                simulation.expect(value == 1 && took == .zero, "the read took \(took)")
            }
        }
    }

    @Test("C41: a hanging store costs a read with a mark one time limit and one load")
    func hangingWithMark() throws {
        try Simulation.run(seed: 1) { simulation in
            let (fixture, source) = (TierFixture(clock: simulation.clock, canStall: true), Source())
            let cache = fixture.cache(source, storeFailure: .failOpen(timeout: .seconds(2)))
            let mark = await cache.invalidate(1)
            fixture.store.outage = .hang
            let began = simulation.clock.now
            _ = try await cache.value(for: 1, .notOlderThan(mark))
            let took = began.duration(to: simulation.clock.now)
            simulation.expect(took == .seconds(2) && source.loads == 1, "\(source.loads) loads took \(took)")
        }
    }
}
