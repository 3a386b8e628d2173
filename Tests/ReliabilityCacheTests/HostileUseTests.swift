import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCache

@Suite("LoadingCache: long loads and hostile keys")
struct HostileUseTests {
    let clock = ManualClock()

    @Test("C20: a load coordinates its key for as long as the load runs, whatever leaves the cache meanwhile")
    func longLoad() async throws {
        let source = Source()
        let gate = TaskGate()
        source.gate = gate
        let cache = LoadingCache<Int, Int>(
            CacheConfiguration(timeToLive: .seconds(10), maxEntries: 1, loadTimeout: .seconds(7200)),
            clock: clock
        ) { _ in try await source.load() }
        var reads = [Task { try await cache.value(for: 0) }]
        await gate.waitForArrivals(1)
        for minute in 1...60 {
            clock.stall(for: .seconds(60))
            for key in 0..<20 { cache.put(.value(key), for: minute * 20 + key) }
            cache.invalidate(minute * 20)
            cache.invalidate(tag: "other")
            reads.append(Task { try await cache.value(for: 0) })
            while cache.snapshot.joins < UInt64(minute) { await Task.yield() }
        }
        gate.open()
        for read in reads { #expect(try await read.value == 1) }
        #expect(source.loads == 1)
    }

    @Test("C38: keys of one Unicode meaning and different bytes are different keys if their type says so")
    func bytes() async throws {
        let cache = LoadingCache<CompositeKey, Int>(.expiring(after: .seconds(100)), clock: clock) { key in
            key.components[0].count
        }
        #expect(try await cache.value(for: ["\u{E9}"]) == 2)
        #expect(try await cache.value(for: ["e\u{301}"]) == 3)
        #expect(cache.snapshot.entries == 2)
    }

    @Test("C38: a key whose cost exceeds the bound is loaded and not stored, and displaces nothing")
    func longKey() async throws {
        let cache = LoadingCache<String, Int>(
            CacheConfiguration(timeToLive: .seconds(100), maxCost: 100_000),
            cost: { key, _ in key.utf8.count },
            clock: clock
        ) { key, _ in .value(key.utf8.count) }
        #expect(try await cache.value(for: "short") == 5)
        #expect(try await cache.value(for: String(repeating: "k", count: 1_000_000)) == 1_000_000)
        #expect(cache.snapshot.entries == 1)
        #expect(cache.cached("short") == 5)
    }

    @Test("C38: many different keys of an attacker leave the memory bounded and the hot keys in place")
    func hotSet() async throws {
        let source = Source()
        let cache = LoadingCache<Int, Int>(
            CacheConfiguration(timeToLive: .seconds(100), earlyRefresh: .none, maxCost: 1 << 20, maxEntries: 1000),
            clock: clock
        ) { key in
            if key < 100 { return try await source.load() }
            return key
        }
        for _ in 0..<3 {
            for key in 0..<100 { #expect(try await cache.value(for: key) == 1) }
        }
        // The attacker asks 50 times as often as the users of the hot keys.
        for key in 0..<10_000 {
            _ = try await cache.value(for: 1000 + key)
            if key % 50 == 0 { _ = try await cache.value(for: key / 50 % 100) }
            if key % 100 == 0 { #expect(cache.snapshot.cost <= 1 << 20) }
        }
        #expect(cache.snapshot.entries <= 1000)
        // With an eviction of the least recently used entry, all of the 200 reads would load.
        #expect(source.loads <= 110)
    }
}
