import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCache

@Suite("LoadingCache: memory")
struct MemoryTests {
    let clock = ManualClock()
    private let overhead = CacheEntries<Int, Int>.overhead

    /// A cache of values that are their own costs.
    private func cache(
        maxCost: Int,
        maxEntries: Int = 1000,
        observer: (@Sendable (CacheEvent<Int>) -> Void)? = nil
    ) -> LoadingCache<Int, Int> {
        LoadingCache(
            CacheConfiguration(
                timeToLive: .seconds(100),
                jitter: 0,
                earlyRefresh: .none,
                maxCost: maxCost,
                maxEntries: maxEntries
            ),
            cost: { _, value in value },
            clock: clock,
            observer: observer
        ) { key, _ in .value(key) }
    }

    @Test("C32: the costs with the overhead are within maxCost after every call")
    func bound() async throws {
        let cache = cache(maxCost: 10 * (overhead + 100))
        for key in 0..<200 {
            #expect(try await cache.value(for: key) == key)
            #expect(cache.snapshot.cost <= 10 * (overhead + 100))
        }
        #expect(cache.snapshot.removals(.evicted) > 100)
        cache.invalidateAll()
        #expect(cache.snapshot.cost == 0)
        #expect(cache.snapshot.entries == 0)
    }

    @Test("C34: a negative cost counts as zero, and a huge cost is returned and not stored, with an event")
    func extremeCosts() async throws {
        let events = EventRecorder<CacheEvent<Int>>()
        let cache = cache(maxCost: 10_000, observer: events.record)
        #expect(try await cache.value(for: -5) == -5)
        #expect(cache.snapshot.cost == overhead)
        #expect(try await cache.value(for: .max) == .max)
        #expect(cache.snapshot.entries == 1)
        #expect(cache.snapshot.notStored(.tooLarge) == 1)
        let recorded = await events.wait(for: 3)
        guard case .notStored(.max, .tooLarge) = recorded[2] else {
            Issue.record("the last event is \(recorded[2])")
            return
        }
    }

    @Test("C34: a too large update removes the older value")
    func tooLargeUpdate() {
        let cache = cache(maxCost: 10_000)
        #expect(cache.put(.value(1), for: 0))
        #expect(!cache.put(.value(20_000), for: 0))
        #expect(cache.cached(0) == nil)
        #expect(cache.snapshot.cost == 0)
    }

    @Test("C35: an eviction touches neither a running load nor the answer to its callers")
    func evictionDuringLoad() async throws {
        let source = Source()
        let gate = TaskGate()
        source.gate = gate
        let cache = LoadingCache<Int, Int>(
            CacheConfiguration(timeToLive: .seconds(100), maxEntries: 1),
            clock: clock
        ) { _ in try await source.load() }
        let read = Task { try await cache.value(for: 0) }
        await gate.waitForArrivals(1)
        for key in 1..<100 { cache.put(.value(key), for: key) }
        gate.open()
        #expect(try await read.value == 1)
        #expect(cache.snapshot.entries == 1)
    }

    @Test("C31: work at an instant at which everything expires is bounded in each call")
    func massExpiry() async throws {
        let cache = cache(maxCost: 1 << 30)
        for key in 0..<500 { cache.put(.value(key), for: key) }
        clock.advance(by: .seconds(100))
        cache.put(.value(1), for: 1000)
        #expect(cache.snapshot.removals(.expired) == 2)
        #expect(cache.cached(7) == nil)
    }

    @Test("a removal is an event with its cause")
    func events() async throws {
        let events = EventRecorder<CacheEvent<Int>>()
        let cache = cache(maxCost: 1 << 20, maxEntries: 1, observer: events.record)
        cache.put(.value(1), for: 1)
        cache.put(.value(2), for: 2)
        cache.invalidate(2)
        let causes = await events.wait(for: 2).map { event -> CacheRemovalCause? in
            if case .removed(_, let cause) = event { cause } else { nil }
        }
        #expect(causes == [.evicted, .invalidated])
    }

    @Test("a reload evicts above smaller bounds and keeps the rest")
    func reload() throws {
        let cache = cache(maxCost: 1 << 20)
        for key in 0..<100 { cache.put(.value(0), for: key) }
        var configuration = cache.configuration
        configuration.maxEntries = 10
        try cache.reload(configuration)
        #expect(cache.snapshot.entries == 10)
        configuration.maxEntries = 0
        #expect(throws: ConfigurationError.self) { try cache.reload(configuration) }
        #expect(cache.configuration.maxEntries == 10)
    }

    @Test("a put of a value that must not be stored changes nothing")
    func putOfNotStored() {
        let cache = LoadingCache<Int, Int>(.expiring(after: .seconds(300)), clock: ManualClock()) { $0 }
        #expect(cache.put(.value(1), for: 1))
        #expect(!cache.put(.notStored(2), for: 1))
        #expect(!cache.put(.notStored(2), for: 2))
        #expect(cache.cached(1) == 1)
        #expect(cache.cached(2) == nil)
    }
}
