import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCache

@Suite("LoadingCache: invalidation")
struct InvalidationTests {
    /// A way to invalidate the key 0, whose value has the tag "even".
    enum Invalidation: CaseIterable {
        case key
        case tag
        case all

        func apply(to cache: LoadingCache<Int, Int>) {
            switch self {
            case .key: cache.invalidate(0)
            case .tag: cache.invalidate(tag: "even")
            case .all: cache.invalidateAll()
            }
        }
    }

    let clock = ManualClock()
    let source = Source()
    let gate = TaskGate()

    private func cache(_ configuration: CacheConfiguration? = nil) -> LoadingCache<Int, Int> {
        LoadingCache(
            configuration ?? CacheConfiguration(timeToLive: .seconds(100), jitter: 0, earlyRefresh: .none),
            clock: clock
        ) { [source] key, stale in
            .value(try await source.load(stale: stale), tags: key % 2 == 0 ? ["even"] : [])
        }
    }

    @Test("C1: after an invalidation, a read loads again", arguments: Invalidation.allCases)
    func invalidate(_ invalidation: Invalidation) async throws {
        let cache = cache()
        #expect(try await cache.value(for: 0) == 1)
        source.value = 2
        invalidation.apply(to: cache)
        #expect(cache.cached(0) == nil)
        #expect(try await cache.value(for: 0) == 2)
        #expect(try await cache.value(for: 0) == 2)
    }

    @Test(
        "C1, C2: a load that runs at its invalidation answers those who had joined, and is neither joined nor stored",
        arguments: Invalidation.allCases
    )
    func invalidateDuringLoad(_ invalidation: Invalidation) async throws {
        let cache = cache()
        source.gate = gate
        let before = Task { try await cache.value(for: 0) }
        await gate.waitForArrivals(1)
        source.value = 2
        invalidation.apply(to: cache)
        let after = Task { try await cache.value(for: 0) }
        while cache.snapshot.misses < 2 { await Task.yield() }
        gate.open()
        #expect(try await before.value == 1)
        #expect(try await after.value == 2)
        #expect(cache.cached(0) == 2)
        #expect(cache.snapshot.notStored(.invalidated) == 1)
    }

    @Test("C1: a load of a value without tags that runs when everything is invalidated is not joined")
    func invalidateAllDuringLoad() async throws {
        let cache = cache()
        source.gate = gate
        let before = Task { try await cache.value(for: 1) }
        await gate.waitForArrivals(1)
        source.value = 2
        cache.invalidateAll()
        let after = Task { try await cache.value(for: 1) }
        while cache.snapshot.misses < 2 { await Task.yield() }
        gate.open()
        #expect(try await before.value == 1)
        #expect(try await after.value == 2)
        #expect(cache.cached(1) == 2)
    }

    @Test("C3: a background refresh carries the start of its load", arguments: Invalidation.allCases)
    func invalidateDuringRefresh(_ invalidation: Invalidation) async throws {
        let cache = cache(
            CacheConfiguration(
                timeToLive: .seconds(100),
                jitter: 0,
                earlyRefresh: .none,
                staleWhileRevalidate: .seconds(50)
            )
        )
        #expect(try await cache.value(for: 0) == 1)
        clock.advance(by: .seconds(100))
        source.gate = gate
        #expect(try await cache.value(for: 0) == 1)
        (source.value, source.gate) = (2, nil)
        invalidation.apply(to: cache)
        gate.open()
        while cache.snapshot.successfulLoads < 2 { await Task.yield() }
        #expect(cache.cached(0) == nil)
        #expect(try await cache.value(for: 0) == 2)
    }

    @Test("C4: a put is not replaced by a load that began earlier, also after the put entry has left")
    func putDuringLoad() async throws {
        let cache = cache()
        source.gate = gate
        let read = Task { try await cache.value(for: 0) }
        await gate.waitForArrivals(1)
        cache.put(.value(5), for: 0)
        #expect(cache.cached(0) == 5)
        cache.put(.value(6, timeToLive: .zero), for: 0)
        gate.open()
        #expect(try await read.value == 1)
        #expect(cache.cached(0) == nil)
    }

    @Test("C4: a put of a lower version than the present version is not stored, in either order")
    func versions() async throws {
        let cache = cache()
        #expect(cache.put(.value(2, version: 2), for: 0))
        #expect(!cache.put(.value(1, version: 1), for: 0))
        #expect(cache.cached(0) == 2)
        #expect(cache.put(.value(1, version: 1), for: 1))
        #expect(cache.put(.value(2, version: 2), for: 1))
        #expect(cache.cached(1) == 2)
    }

    @Test("C7: a failed load removes nothing that another call stored")
    func failedLoad() async throws {
        let cache = cache()
        source.gate = gate
        let read = Task { try await cache.value(for: 0) }
        await gate.waitForArrivals(1)
        cache.put(.value(5), for: 0)
        source.error = TestReliabilityError(.notFound)
        gate.open()
        await #expect(throws: TestReliabilityError.self) { try await read.value }
        #expect(cache.cached(0) == 5)
    }

    @Test("C10: a put is visible immediately, also in the place of an expired value")
    func putIsVisible() async throws {
        let cache = cache()
        #expect(try await cache.value(for: 0) == 1)
        clock.advance(by: .seconds(100))
        cache.put(.value(5), for: 0)
        #expect(try await cache.value(for: 0) == 5)
    }

    @Test("C42: the invalidation of a tag leaves other values, and its table holds tags of present entries only")
    func tags() async throws {
        let cache = cache()
        for key in 0..<10 { #expect(try await cache.value(for: key) == 1) }
        #expect(cache.tagCount == 1)
        source.value = 2
        cache.invalidate(tag: "even")
        cache.invalidate(tag: "unknown")
        for key in 0..<10 { #expect(try await cache.value(for: key) == (key % 2 == 0 ? 2 : 1)) }
        for key in 0..<10 { cache.invalidate(key) }
        #expect(cache.tagCount == 0)
    }

    @Test("C42: the state of a tag is kept while an older load can still name the tag")
    func forgottenTag() async throws {
        let cache = cache()
        #expect(try await cache.value(for: 2) == 1)
        source.gate = gate
        let read = Task { try await cache.value(for: 0) }
        await gate.waitForArrivals(1)
        source.value = 2
        cache.invalidate(tag: "even")
        // No entry has the tag any more.
        cache.invalidate(2)
        #expect(cache.tagCount == 0)
        gate.open()
        #expect(try await read.value == 1)
        #expect(cache.cached(0) == nil)
    }

    @Test("C1: no read that begins after an edit receives a value from before the edit, in any schedule")
    func everySchedule() throws {
        try Simulation.run(seeds: 0..<400) { simulation in
            // The edits of each key that have been invalidated. A later read must see them.
            let written = Lock([0, 0, 0])
            let visible = Lock([0, 0, 0])
            let cache = LoadingCache<Int, Int>(
                CacheConfiguration(
                    timeToLive: .seconds(2),
                    staleWhileRevalidate: .seconds(2),
                    staleIfError: .seconds(5),
                    failureBackoff: .milliseconds(300),
                    maxEntries: 2,
                    maxConcurrentLoads: 2,
                    loadTimeout: .milliseconds(1500)
                ),
                clock: simulation.clock
            ) { key, _ in
                let value = written.withLock { $0[key] }
                try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...1600)))
                if simulation.random(in: 0...5) == 0 { throw TestError() }
                return .value(value, tags: ["tag \(key)"])
            }
            for _ in 0..<5 {
                simulation.spawn {
                    for _ in 0..<6 {
                        let key = simulation.random(in: 0...2)
                        let floor = visible.withLock { $0[key] }
                        let freshness: CacheRead = simulation.random(in: 0...7) == 0 ? .fresh : .any
                        if let value = try? await cache.value(for: key, freshness) {
                            simulation.expect(value >= floor, "key \(key): read \(value) after edit \(floor)")
                        }
                        if let value = cache.cached(key), simulation.random(in: 0...1) == 0 {
                            let floor = visible.withLock { $0[key] }
                            simulation.expect(value >= floor, "key \(key): peeked \(value) after edit \(floor)")
                        }
                        try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...900)))
                    }
                }
            }
            for _ in 0..<2 {
                simulation.spawn {
                    for _ in 0..<5 {
                        let key = simulation.random(in: 0...2)
                        let edit = written.withLock { written in
                            written[key] += 1
                            return written[key]
                        }
                        try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...200)))
                        switch simulation.random(in: 0...4) {
                        case 0, 1: cache.invalidate(key)
                        case 2, 3: cache.invalidate(tag: "tag \(key)")
                        default: cache.invalidateAll()
                        }
                        visible.withLock { $0[key] = max($0[key], edit) }
                        try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...900)))
                    }
                }
            }
            await simulation.waitForClients()
        }
    }

    @Test("C4: of two admins who edit one quote, the loser's value never remains, in any schedule")
    func twoAdmins() throws {
        try Simulation.run(seeds: 0..<400) { simulation in
            let quote = Lock((text: 0, version: UInt64(1)))
            let cache = LoadingCache<Int, Int>(.expiring(after: .seconds(300)), clock: simulation.clock) { _, _ in
                let seen = quote.withLock { $0 }
                try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...50)))
                return .value(seen.text, version: seen.version)
            }
            for admin in 1...2 {
                simulation.spawn {
                    let seen = quote.withLock { $0.version }
                    try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...50)))
                    let saved = quote.withLock { quote -> UInt64? in
                        guard quote.version == seen else { return nil }
                        quote = (admin, quote.version + 1)
                        return quote.version
                    }
                    try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...20)))
                    guard let saved else { return }
                    if simulation.random(in: 0...1) == 0 {
                        cache.invalidate(0)
                    } else {
                        cache.put(.value(admin, version: saved), for: 0)
                    }
                }
            }
            for _ in 0..<4 {
                simulation.spawn {
                    for _ in 0..<5 {
                        _ = try await cache.value(for: 0)
                        try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...30)))
                    }
                }
            }
            await simulation.waitForClients()
            let right = quote.withLock { $0.text }
            let read = try await cache.value(for: 0)
            simulation.expect(read == right, "the cache has \(read), the database has \(right)")
        }
    }

    @Test("C46: a read that starts again and finds a value counts once")
    func repeatedReadCountsOnce() async throws {
        let (source, gate) = (Source(), TaskGate())
        source.gate = gate
        let caches = Lock<LoadingCache<Int, Int>?>(nil)
        let cache = LoadingCache<Int, Int>(
            CacheConfiguration(timeToLive: .seconds(300), earlyRefresh: .none),
            clock: ManualClock(),
            observer: { event in
                // The value is present before the reads of the load continue.
                if case .notStored = event { caches.withLock { $0 }?.put(.value(2), for: 1) }
            },
            load: { _, _ in .value(try await source.load(), tags: ["tag"]) }
        )
        caches.withLock { $0 = cache }
        let first = Task { try await cache.value(for: 1) }
        await gate.waitForArrivals(1)
        cache.invalidate(tag: "tag")
        let second = Task { try await cache.value(for: 1) }
        while cache.snapshot.joins < 1 { await Task.yield() }
        gate.open()
        #expect(try await first.value == 1)
        #expect(try await second.value == 2)
        #expect(cache.snapshot.misses == 2)
        #expect(cache.snapshot.hits == 0)
        caches.withLock { $0 = nil }
    }
}
