import CacheSimulation
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCache

@Suite("TieredCache: data and invalidation in one commit")
struct TierCommitTests {
    let fixture = TierFixture()
    let source = Source()
    let row = StoreKey("rows", "1")

    @Test("the result has the versions of the caller's writes, and the mark is confirmed")
    func result() async throws {
        let cache = fixture.cache(source)
        let saved = try await cache.commit([.put(row, [1], .never, if: .absent)], invalidating: [1, 1], tags: ["even"])
        guard case .committed(let versions) = saved.result else {
            Issue.record("the commit conflicts")
            return
        }
        #expect(versions.count == 1)
        #expect(try await fixture.store.memory.get(row)?.version == versions[0])
        #expect(saved.mark.isConfirmed)
    }

    @Test("after a conflict of the caller's writes, nothing is invalidated")
    func conflict() async throws {
        let cache = fixture.cache(source)
        #expect(try await cache.value(for: 1) == 1)
        let saved = try await cache.commit([.check(row, .present)], invalidating: [1])
        #expect(saved.result == .conflict(index: 0, current: nil))
        #expect(!saved.mark.isConfirmed)
        #expect(cache.cached(1) == 1)
        #expect(try await fixture.entry(1) != nil)
    }

    @Test("C9: the writer dies after the commit, and no process reads a value from before the commit in the store")
    func deadWriter() async throws {
        let reader = fixture.cache(source)
        #expect(try await reader.value(for: 1) == 1)
        // The process of the writer ends with its cache.
        do {
            let writer = fixture.cache(source)
            source.value = 2
            _ = try await writer.commit([.put(row, [2], .never, if: .any)], invalidating: [1])
        }
        #expect(try await fixture.entry(1) == nil)
        #expect(try await fixture.cache(source).value(for: 1) == 2)
        fixture.clock.stall(for: .seconds(5))
        #expect(try await reader.value(for: 1) == 2)
    }

    @Test("C9: after a commit of unknown outcome, the keys and tags are invalidated until the store confirms")
    func unknownOutcome() async throws {
        let cache = fixture.cache(source)
        #expect(try await cache.value(for: 1) == 1)
        #expect(try await cache.value(for: 2) == 1)
        source.value = 2
        fixture.store.failNext(.commit, with: .reject(.unknownOutcome))
        await #expect(throws: StoreError.self) {
            try await cache.commit([.put(row, [2], .never, if: .any)], invalidating: [1], tags: ["even"])
        }
        #expect(try await cache.value(for: 1) == 2)
        #expect(try await cache.value(for: 2) == 2)
        while cache.snapshot.pendingInvalidations > 0 {
            fixture.clock.stall(for: .milliseconds(50))
            await Task.yield()
        }
        #expect(try await fixture.entry(1) == nil)
    }

    @Test("a commit that the store rejected changes nothing")
    func rejected() async throws {
        let cache = fixture.cache(source)
        #expect(try await cache.value(for: 1) == 1)
        fixture.store.failNext(.commit, with: .reject(.diskFull))
        await #expect(throws: StoreError.self) { try await cache.commit([], invalidating: [1]) }
        #expect(cache.cached(1) == 1)
        #expect(cache.snapshot.pendingInvalidations == 0)
    }

    @Test("C4, C9: of two admins who edit one quote, the loser's value never remains, in any schedule")
    func twoAdmins() throws {
        try Simulation.run(seeds: 0..<300) { simulation in
            let fixture = TierFixture(clock: simulation.clock)
            let row = StoreKey("rows", "quote")
            let caches = (0..<2).map { _ in
                TieredCache<Int, Int>(
                    TwoAdmins.configuration,
                    coding: TierFixture.coding(),
                    keyspace: "quotes",
                    store: fixture.store,
                    storeFailure: .failOpen(),
                    clock: simulation.clock
                ) { _, _ in
                    let row = try await fixture.store.memory.get(row)
                    try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...300)))
                    return .value(row.map { Int($0.value[0]) } ?? 0, tags: ["quotes"])
                }
            }
            // The values in the order of their commits.
            let committed = Lock([UInt8(0)])
            for (admin, cache) in caches.enumerated() {
                simulation.spawn {
                    for edit in 0..<4 {
                        let value = UInt8(1 + admin * 100 + edit)
                        let seen = try await fixture.store.memory.get(row)
                        try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...400)))
                        let condition = seen.map { WriteCondition.version($0.version) } ?? .absent
                        let write = StoreWrite.put(row, [value], .never, if: condition)
                        let isTag = simulation.random(in: 0...1) == 0
                        let saved = try await cache.commit(
                            [write],
                            invalidating: isTag ? [] : [0],
                            tags: isTag ? ["quotes"] : []
                        )
                        guard case .committed = saved.result else { continue }
                        let order = try await fixture.store.memory.get(row)
                        let read = try await cache.value(for: 0)
                        // A later commit of the other admin may have changed the row meanwhile.
                        let later = try await fixture.store.memory.get(row)
                        if order == later, order?.value == [value] {
                            simulation.expect(read == Int(value), "admin \(admin) reads \(read), not \(value)")
                        }
                        committed.withLock { $0.append(value) }
                    }
                }
                simulation.spawn {
                    for _ in 0..<10 {
                        _ = try? await cache.value(for: 0)
                        try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...300)))
                    }
                }
            }
            await simulation.waitForClients()
            try await simulation.clock.sleep(for: TwoAdmins.configuration.localTimeToLive)
            let right = try await fixture.store.memory.get(row).map { Int($0.value[0]) } ?? 0
            for cache in caches {
                let read = try await cache.value(for: 0)
                simulation.expect(read == right, "the cache has \(read), the database has \(right)")
            }
        }
    }
}
