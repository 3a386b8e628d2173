import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCache

@Suite("LoadingCache: loads inside of loads")
struct NestedLoadTests {
    /// A cache that its own loader reads.
    private final class Nested: Sendable {
        private let present = Lock<LoadingCache<Int, Int>?>(nil)

        var cache: LoadingCache<Int, Int>? {
            get { present.withLock { $0 } }
            set { present.withLock { $0 = newValue } }
        }
    }

    @Test("C22: loads that occupy all places can wait for a load of another caller that waits for a place")
    func queuedLoad() throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let nested = Nested()
            let cache = LoadingCache<Int, Int>(
                CacheConfiguration(timeToLive: .seconds(300), maxConcurrentLoads: 2),
                clock: simulation.clock
            ) { key in
                try await simulation.clock.sleep(for: .seconds(1))
                return key == 0 ? 7 : try await nested.cache?.value(for: 0) ?? 0
            }
            nested.cache = cache
            let began = simulation.clock.now
            let outer = [1, 2].map { key in simulation.spawn { try await cache.value(for: key) } }
            while cache.snapshot.runningLoads < 2 { await Task.yield() }
            let queued = simulation.spawn { try await cache.value(for: 0) }
            for read in outer + [queued] {
                let value = try await read.value
                simulation.expect(value == 7, "the value is \(value)")
            }
            let took = began.duration(to: simulation.clock.now)
            simulation.expect(took == .seconds(2), "the reads took \(took)")
            simulation.expect(cache.snapshot.runningLoads == 0, "a place is still occupied")
            nested.cache = nil
        }
    }

    @Test("C22: a load in the background that another load causes has a place of its own")
    func background() throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let (nested, counter) = (Nested(), ConcurrencyCounter())
            let cache = LoadingCache<Int, Int>(
                CacheConfiguration(
                    timeToLive: .seconds(10),
                    earlyRefresh: .none,
                    staleWhileRevalidate: .seconds(100),
                    maxConcurrentLoads: 1
                ),
                clock: simulation.clock
            ) { key in
                counter.increment()
                defer { counter.decrement() }
                if key == 0 {
                    for other in 1...5 { _ = try await nested.cache?.value(for: other) }
                }
                try await simulation.clock.sleep(for: .milliseconds(100))
                return key
            }
            nested.cache = cache
            for key in 1...5 { _ = try await cache.value(for: key) }
            try await simulation.clock.sleep(for: .seconds(20))
            _ = try await cache.value(for: 0)
            try await simulation.clock.sleep(for: .seconds(5))
            simulation.expect(cache.snapshot.backgroundLoads == 5, "the values were not stale")
            simulation.expect(counter.peak == 1, "\(counter.peak) loads ran")
            nested.cache = nil
        }
    }

    @Test("C22: a task that outlives its load does not use the place of the load")
    func outlivingTask() throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let (nested, counter) = (Nested(), ConcurrencyCounter())
            let cache = LoadingCache<Int, Int>(
                CacheConfiguration(timeToLive: .seconds(300), maxConcurrentLoads: 1),
                clock: simulation.clock
            ) { key in
                counter.increment()
                defer { counter.decrement() }
                if key == 0 {
                    for other in 1...5 {
                        simulation.spawn {
                            try await simulation.clock.sleep(for: .seconds(1))
                            _ = try await nested.cache?.value(for: other)
                        }
                    }
                }
                try await simulation.clock.sleep(for: .milliseconds(100))
                return key
            }
            nested.cache = cache
            _ = try await cache.value(for: 0)
            await simulation.waitForClients()
            simulation.expect(cache.snapshot.entries == 6, "the reads failed")
            simulation.expect(counter.peak == 1, "\(counter.peak) loads ran")
            nested.cache = nil
        }
    }

    @Test("C18: a fresh read of a key inside of its own load is an error at once", arguments: [1, 2])
    func recursiveFreshRead(_ keys: Int) async throws {
        let (nested, source) = (Nested(), Source())
        let cache = LoadingCache<Int, Int>(.expiring(after: .seconds(300)), clock: ManualClock()) { key in
            _ = try await source.load()
            // Without the error, the recursion would end the process.
            if source.loads > 50 { throw TestError() }
            return try await nested.cache?.value(for: (key + 1) % keys, .fresh) ?? 0
        }
        nested.cache = cache
        let error = await #expect(throws: CacheError.self) { try await cache.value(for: 0) }
        #expect(error?.reason == .recursiveLoad)
        #expect(source.loads == keys)
        let counts = cache.snapshot
        #expect(counts.misses + counts.repeats == counts.loads + counts.joins + counts.rejections)
        nested.cache = nil
    }
}
