import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCache

/// Two admins edit one quote in two processes while readers load.
@Suite("TieredCache: two admins edit one quote while readers load")
struct TwoAdminsTests {
    /// The quotes of the database, with the highest edit that an invalidation has made visible in each process.
    final class Quotes: Sendable {
        struct State: Sendable {
            var saved = [0, 0, 0]
            /// For each process and key, the edit that every later read of the process must see.
            var visible = [[0, 0, 0], [0, 0, 0]]
        }

        let state = Lock(State())

        func saved(_ key: Int) -> Int { state.withLock { $0.saved[key] } }
        func visible(_ key: Int, in process: Int) -> Int { state.withLock { $0.visible[process][key] } }

        func save(_ key: Int) -> Int {
            state.withLock { state in
                state.saved[key] += 1
                return state.saved[key]
            }
        }

        func makeVisible(_ edit: Int, of key: Int, in process: Int) {
            state.withLock { $0.visible[process][key] = max($0.visible[process][key], edit) }
        }
    }

    static let localTimeToLive = Duration.seconds(1)

    static let configuration = TieredCacheConfiguration(
        CacheConfiguration(
            timeToLive: .seconds(4),
            staleWhileRevalidate: .seconds(3),
            staleIfError: .seconds(6),
            failureBackoff: .milliseconds(300),
            maxEntries: 2,
            maxConcurrentLoads: 2,
            loadTimeout: .milliseconds(2500)
        ),
        localTimeToLive: localTimeToLive,
        lease: .milliseconds(800),
        maxPendingInvalidations: 2,
        acceptsMarks: true
    )

    /// The cache of a process, whose loads are slow, fail or never end.
    static func cache(
        _ simulation: Simulation,
        _ quotes: Quotes,
        _ store: any KeyValueStore
    ) -> TieredCache<Int, Int> {
        TieredCache(
            configuration,
            coding: TierFixture.coding(),
            keyspace: "quotes",
            store: store,
            storeFailure: .failOpen(timeout: .milliseconds(500)),
            clock: simulation.clock
        ) { key, _ in
            let value = quotes.saved(key)
            switch simulation.random(in: 0...19) {
            // The holder of the lease dies: its load never ends, and its lease is not renewed.
            case 0: try await simulation.clock.sleep(for: .seconds(600))
            case 1, 2: throw TestError()
            default: try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...1200)))
            }
            return .value(value, tags: ["tag \(key)"])
        }
    }

    @Test("C1, C4, C5, C8, C45: no read receives a value from before an edit that it must see, in any schedule")
    func everySchedule() throws {
        try Simulation.run(seeds: 0..<300) { simulation in
            let quotes = Quotes()
            let isFaulty = Lock(true)
            let fixture = TierFixture(clock: simulation.clock, canStall: true) {
                guard isFaulty.withLock({ $0 }) else { return nil }
                switch simulation.random(in: 0...29) {
                case 0: return .reject(.unavailable)
                case 1: return .unknownOutcomeAfterApply
                case 2: return .hang
                default: return nil
                }
            }
            let caches = (0..<2).map { _ in Self.cache(simulation, quotes, fixture.store) }
            let cookie = Lock<[(mark: CacheMark, edit: Int)?]>([nil, nil, nil])
            for reader in 0..<6 {
                let process = reader % 2
                simulation.spawn {
                    for _ in 0..<8 {
                        let key = simulation.random(in: 0...2)
                        await Self.read(key, process, simulation, quotes, caches[process], cookie)
                        try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...900)))
                    }
                }
            }
            for process in 0..<2 {
                simulation.spawn {
                    for _ in 0..<5 {
                        try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...900)))
                        await Self.edit(process, simulation, quotes, caches[process], cookie)
                    }
                }
            }
            await simulation.waitForClients()
            // After the recovery of the store, every invalidation is confirmed.
            isFaulty.withLock { $0 = false }
            while caches.contains(where: { $0.snapshot.pendingInvalidations > 0 }) {
                try await simulation.clock.sleep(for: .milliseconds(100))
            }
            try await simulation.clock.sleep(for: Self.localTimeToLive)
            for (process, cache) in caches.enumerated() {
                for key in 0..<3 {
                    guard let value = try? await cache.value(for: key) else { continue }
                    let right = quotes.saved(key)
                    simulation.expect(value == right, "process \(process) reads \(value) for \(key), not \(right)")
                }
            }
        }
    }

    private static func read(
        _ key: Int,
        _ process: Int,
        _ simulation: Simulation,
        _ quotes: Quotes,
        _ cache: TieredCache<Int, Int>,
        _ cookie: borrowing Lock<[(mark: CacheMark, edit: Int)?]>
    ) async {
        let marked = cookie.withLock { $0[key] }
        let saved = quotes.saved(key)
        var floor = quotes.visible(key, in: process)
        var freshness = CacheRead.any
        switch simulation.random(in: 0...7) {
        case 0: (freshness, floor) = (.fresh, saved)
        case 1, 2:
            if let marked { (freshness, floor) = (.notOlderThan(marked.mark), max(floor, marked.edit)) }
        default: break
        }
        if let value = try? await cache.value(for: key, freshness) {
            simulation.expect(value >= floor, "process \(process), \(freshness): read \(value) of \(key), not \(floor)")
        }
        if let value = cache.cached(key) {
            let floor = quotes.visible(key, in: process)
            simulation.expect(value >= floor, "process \(process): peeked \(value) of \(key), not \(floor)")
        }
    }

    private static func edit(
        _ process: Int,
        _ simulation: Simulation,
        _ quotes: Quotes,
        _ cache: TieredCache<Int, Int>,
        _ cookie: borrowing Lock<[(mark: CacheMark, edit: Int)?]>
    ) async {
        let key = simulation.random(in: 0...2)
        let edit = quotes.save(key)
        let mark =
            switch simulation.random(in: 0...5) {
            case 0, 1, 2: await cache.invalidate(key)
            case 3, 4: await cache.invalidate(tag: "tag \(key)")
            default: await cache.invalidateAll()
            }
        quotes.makeVisible(edit, of: key, in: process)
        cookie.withLock { $0[key] = (mark, edit) }
        guard mark.isConfirmed else { return }
        // Other processes see the edit after the local lifetime and the loads that run at the invalidation.
        simulation.spawn {
            try await simulation.clock.sleep(for: localTimeToLive + configuration.cache.loadTimeout)
            quotes.makeVisible(edit, of: key, in: 1 - process)
        }
    }
}
