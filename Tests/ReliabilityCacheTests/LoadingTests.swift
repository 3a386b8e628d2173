import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCache

@Suite("LoadingCache: loads")
struct LoadingTests {
    let clock = ManualClock()
    let source = Source()
    let gate = TaskGate()

    private func cache(
        _ configuration: CacheConfiguration = .expiring(after: .seconds(300)),
        observer: (@Sendable (CacheEvent<String>) -> Void)? = nil
    ) -> LoadingCache<String, Int> {
        LoadingCache(configuration, clock: clock, observer: observer) { [source] _ in try await source.load() }
    }

    /// Starts reads and waits until all of them have missed.
    private func reads(
        _ count: Int,
        of key: String = "key",
        in cache: LoadingCache<String, Int>,
        _ freshness: CacheRead = .any
    ) async -> [Task<Int, any Error>] {
        let misses = cache.snapshot.misses + UInt64(count)
        let tasks = (0..<count).map { _ in Task { try await cache.value(for: key, freshness) } }
        while cache.snapshot.misses < misses { await Task.yield() }
        return tasks
    }

    @Test("a value is loaded once and then read from memory")
    func hit() async throws {
        let cache = cache()
        for _ in 0..<10 { #expect(try await cache.value(for: "key") == 1) }
        #expect(source.loads == 1)
        #expect(cache.snapshot.hits == 9)
        #expect(cache.cached("key") == 1)
        #expect(cache.cached("other") == nil)
    }

    @Test("C6: n callers on a cold key cause exactly one load")
    func once() async throws {
        let cache = cache()
        source.gate = gate
        let tasks = await reads(1000, in: cache)
        gate.open()
        for task in tasks { #expect(try await task.value == 1) }
        #expect(source.loads == 1)
        #expect(cache.snapshot.joins == 999)
    }

    @Test("C11: any caller may be cancelled, and the others get the value", arguments: 0..<3)
    func cancellation(_ cancelled: Int) async throws {
        let cache = cache()
        source.gate = gate
        var tasks: [Task<Int, any Error>] = []
        for _ in 0..<3 { tasks += await reads(1, in: cache) }
        tasks[cancelled].cancel()
        await #expect(throws: CancellationError.self) { try await tasks[cancelled].value }
        gate.open()
        for index in 0..<3 where index != cancelled { #expect(try await tasks[index].value == 1) }
        #expect(source.loads == 1)
    }

    @Test("C12: after the last caller has left, a new caller starts a new load and receives no cancellation")
    func lastLeaves() async throws {
        let cache = cache()
        source.gate = gate
        let tasks = await reads(2, in: cache)
        for task in tasks { task.cancel() }
        for task in tasks { await #expect(throws: CancellationError.self) { try await task.value } }
        (source.gate, source.value) = (nil, 2)
        #expect(try await cache.value(for: "key") == 2)
        gate.open()
        // The abandoned load ignores its cancellation, and its late value is discarded.
        while cache.snapshot.successfulLoads < 2 { await Task.yield() }
        #expect(try await cache.value(for: "key") == 2)
    }

    @Test("C13: a caller leaves at its own deadline, and the load does not inherit the deadline")
    func deadline() async throws {
        let deadlines = Lock<[Duration?]>([])
        let cache = LoadingCache<String, Int>(.expiring(after: .seconds(300)), clock: clock) { [source] _ in
            deadlines.withLock { $0.append(Deadline.current?.remaining) }
            return try await source.load()
        }
        source.gate = gate
        let scope = DeadlineScope(Deadline(instant: 1_000_000_000, timeSource: TimeSource(clock)))
        let first = Task {
            try await DeadlineScope.$innermost.withValue(scope) { try await cache.value(for: "key") }
        }
        await gate.waitForArrivals(1)
        let second = await reads(1, in: cache)
        await clock.advance(by: .seconds(1), whenSleeping: 2)
        await #expect(throws: CacheError(.deadline)) { try await first.value }
        gate.open()
        #expect(try await second[0].value == 1)
        #expect(deadlines.withLock { $0 } == [.seconds(10)])
    }

    @Test("C14: at loadTimeout the callers get an error, the key can be loaded, and the late value is discarded")
    func loadTimeout() async throws {
        let cache = cache()
        source.gate = gate
        let tasks = await reads(3, in: cache)
        await clock.advance(by: .seconds(10), whenSleeping: 1)
        for task in tasks { await #expect(throws: CacheError(.loadTimeout)) { try await task.value } }
        #expect(cache.snapshot.runningLoads == 1)
        (source.gate, source.value) = (nil, 2)
        #expect(try await cache.value(for: "key") == 2)
        gate.open()
        while cache.snapshot.runningLoads > 0 { await Task.yield() }
        #expect(cache.cached("key") == 2)
    }

    @Test("C14: an abandoned load counts against maxConcurrentLoads until it ends")
    func abandonedLoadCounts() async throws {
        let cache = cache(CacheConfiguration(timeToLive: .seconds(300), maxConcurrentLoads: 1))
        source.gate = gate
        let first = await reads(1, of: "first", in: cache)
        await clock.advance(by: .seconds(10), whenSleeping: 1)
        await #expect(throws: CacheError(.loadTimeout)) { try await first[0].value }
        let second = await reads(1, of: "second", in: cache)
        #expect(source.loads == 1)
        await clock.advance(by: .seconds(10), whenSleeping: 1)
        await #expect(throws: CacheError(.overloaded)) { try await second[0].value }
        gate.open()
        while cache.snapshot.runningLoads > 0 { await Task.yield() }
        #expect(cache.cached("first") == nil)
        #expect(cache.snapshot.notStored(.invalidated) == 1)
        #expect(try await cache.value(for: "second") == 1)
    }

    @Test("C15: a load that throws runs once, all who joined get the error, and the next call loads")
    func failure() async throws {
        let cache = cache()
        (source.gate, source.error) = (gate, TestError(7))
        let tasks = await reads(10, in: cache)
        gate.open()
        for task in tasks { await #expect(throws: TestError(7)) { try await task.value } }
        #expect(source.loads == 1)
        #expect(cache.snapshot.entries == 0)
        source.error = nil
        #expect(try await cache.value(for: "key") == 1)
    }

    @Test("C18: a loader that asks for its own key, or for a key that waits for it, gets an error immediately")
    func recursion() async throws {
        let caches = Lock<LoadingCache<Int, Int>?>(nil)
        let cache = LoadingCache<Int, Int>(.expiring(after: .seconds(300)), clock: clock) { key in
            guard let cache = caches.withLock({ $0 }) else { return 0 }
            return try await cache.value(for: (key + 1) % 3)
        }
        caches.withLock { $0 = cache }
        await #expect(throws: CacheError(.recursiveLoad)) { try await cache.value(for: 0) }
        #expect(cache.snapshot.runningLoads == 0)
        caches.withLock { $0 = nil }
    }

    @Test("C19: the loader, the cost and the observer may use the cache")
    func reentrancy() async throws {
        let caches = Lock<LoadingCache<String, Int>?>(nil)
        let events = EventRecorder<CacheEvent<String>>()
        let cache = LoadingCache<String, Int>(
            .expiring(after: .seconds(300)),
            cost: { _, _ in caches.withLock { $0 }?.snapshot.entries ?? 0 },
            clock: clock,
            observer: { event in
                _ = caches.withLock { $0 }?.cached("key")
                events.record(event)
            }
        ) { key, _ in
            if key == "other" { return .value(2) }
            return .value(try await caches.withLock { $0 }?.value(for: "other") ?? 0)
        }
        caches.withLock { $0 = cache }
        #expect(try await cache.value(for: "key") == 2)
        await events.wait(for: 2)
        caches.withLock { $0 = nil }
    }

    @Test("C21: callers who joined are answered together when nothing is stored")
    func notStored() async throws {
        let events = EventRecorder<CacheEvent<String>>()
        let cache = LoadingCache<String, Int>(
            .expiring(after: .seconds(300)),
            clock: clock,
            observer: events.record
        ) { [source] key, _ in
            let value = try await source.load()
            return key == "zero" ? .value(value, timeToLive: .zero) : .notStored(value)
        }
        source.gate = gate
        let tasks = await reads(5, of: "zero", in: cache) + reads(5, of: "never", in: cache)
        gate.open()
        for task in tasks { #expect(try await task.value == 1) }
        #expect(source.loads == 2)
        #expect(cache.snapshot.entries == 0)
        #expect(cache.snapshot.notStored(.expired) == 1)
        #expect(cache.snapshot.notStored(.notWanted) == 1)
    }

    @Test("C22: loads over all keys never exceed maxConcurrentLoads, and the others wait")
    func concurrentLoads() async throws {
        let counter = ConcurrencyCounter()
        let cache = LoadingCache<Int, Int>(
            CacheConfiguration(timeToLive: .seconds(300), maxConcurrentLoads: 3),
            clock: clock
        ) { [gate] key in
            counter.increment()
            defer { counter.decrement() }
            await gate.pass()
            return key
        }
        let tasks = (0..<20).map { key in Task { try await cache.value(for: key) } }
        while cache.snapshot.waitingLoads < 17 { await Task.yield() }
        #expect(cache.snapshot.runningLoads == 3)
        gate.open()
        for (key, task) in tasks.enumerated() { #expect(try await task.value == key) }
        #expect(counter.peak == 3)
        #expect(cache.snapshot.runningLoads == 0)
    }

    @Test("C22: a load beyond the queue is a rejection, and a cancelled load leaves the queue")
    func fullQueue() async throws {
        let cache = cache(CacheConfiguration(timeToLive: .seconds(300), maxConcurrentLoads: 1, maxWaitingLoads: 1))
        source.gate = gate
        let running = await reads(1, of: "running", in: cache)
        let waiting = await reads(1, of: "waiting", in: cache)
        let error = await #expect(throws: CacheError.self) { try await cache.value(for: "third") }
        #expect(error == CacheError(.overloaded))
        #expect(error?.isRejection == true)
        waiting[0].cancel()
        await #expect(throws: CancellationError.self) { try await waiting[0].value }
        while cache.snapshot.waitingLoads > 0 { await Task.yield() }
        let next = await reads(1, of: "next", in: cache)
        gate.open()
        #expect(try await running[0].value == 1)
        #expect(try await next[0].value == 1)
    }

    @Test("a load inside of a load of the cache shares its place")
    func nestedLoads() async throws {
        let caches = Lock<LoadingCache<Int, Int>?>(nil)
        let cache = LoadingCache<Int, Int>(
            CacheConfiguration(timeToLive: .seconds(300), maxConcurrentLoads: 1),
            clock: clock
        ) { key in
            key == 0 ? 7 : try await caches.withLock { $0 }?.value(for: key - 1) ?? 0
        }
        caches.withLock { $0 = cache }
        #expect(try await cache.value(for: 5) == 7)
        caches.withLock { $0 = nil }
    }

    @Test("a fresh read loads again, and its value answers later reads")
    func freshRead() async throws {
        let cache = cache()
        #expect(try await cache.value(for: "key") == 1)
        source.value = 2
        #expect(try await cache.value(for: "key") == 1)
        #expect(try await cache.value(for: "key", .fresh) == 2)
        #expect(try await cache.value(for: "key") == 2)
        source.gate = gate
        let earlier = await reads(1, in: cache, .fresh)
        source.value = 3
        let later = await reads(1, in: cache, .fresh)
        gate.open()
        #expect(try await earlier[0].value == 2)
        #expect(try await later[0].value == 3)
        #expect(cache.cached("key") == 3)
    }

    @Test("C46: every read counts once, and misses are loads, joins and rejections")
    func statistics() throws {
        try Simulation.run(seeds: 0..<100) { simulation in
            let cache = LoadingCache<Int, Int>(
                CacheConfiguration(
                    timeToLive: .seconds(3),
                    staleWhileRevalidate: .seconds(1),
                    staleIfError: .seconds(2),
                    failureBackoff: .seconds(1),
                    maxEntries: 4,
                    maxConcurrentLoads: 2,
                    maxWaitingLoads: 2,
                    loadTimeout: .seconds(2)
                ),
                rememberingFailure: { _ in .seconds(1) },
                clock: simulation.clock
            ) { key, _ in
                try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...3000)))
                if simulation.random(in: 0...3) == 0 { throw TestError() }
                return .value(key, tags: ["tag"])
            }
            let reads = 12 * 10
            for _ in 0..<12 {
                simulation.spawn {
                    for _ in 0..<10 {
                        _ = try? await cache.value(for: simulation.random(in: 0...6))
                        if simulation.random(in: 0...5) == 0 { cache.invalidate(tag: "tag") }
                        try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...1000)))
                    }
                }
            }
            await simulation.waitForClients()
            let counts = cache.snapshot
            let answered = counts.hits + counts.staleHits + counts.failureHits + counts.misses
            simulation.expect(answered == reads, "\(answered) of \(reads) reads were counted")
            simulation.expect(
                counts.misses + counts.repeats
                    == counts.loads - counts.backgroundLoads + counts.joins + counts.rejections,
                "the misses are explained: \(counts)"
            )
        }
    }
}
