package import ReliabilityCache
internal import ReliabilityCore
internal import ReliabilityStore
package import ReliabilityTesting
internal import TestSupport

/// Two admins edit quotes in two processes while readers load.
///
/// The caches of the processes share one store. Loads are slow, fail or never end. Calls to the store fail, hang or have
/// an unknown outcome. A third process dies during its loads. The memory of a cache has room for two of three quotes.
package struct TwoAdmins: Sendable {
    /// The quotes of the database, with the edits that later reads must see.
    private final class Quotes: Sendable {
        private struct State: Sendable {
            var saved = [0, 0, 0]
            /// The edit that every later read must see, for each process and key.
            var visible = [[0, 0, 0], [0, 0, 0]]
            /// The mark of the last invalidation of each key, with its edit.
            var marks: [(mark: CacheMark, edit: Int)?] = [nil, nil, nil]
        }

        private let state = Lock(State())

        func saved(_ key: Int) -> Int { state.withLock { $0.saved[key] } }
        func visible(_ key: Int, in process: Int) -> Int { state.withLock { $0.visible[process][key] } }
        func mark(_ key: Int) -> (mark: CacheMark, edit: Int)? { state.withLock { $0.marks[key] } }

        func save(_ key: Int) -> Int {
            state.withLock { state in
                state.saved[key] += 1
                return state.saved[key]
            }
        }

        func makeVisible(_ edit: Int, of key: Int, in process: Int) {
            state.withLock { $0.visible[process][key] = max($0.visible[process][key], edit) }
        }

        func setMark(_ mark: CacheMark, of key: Int, edit: Int) { state.withLock { $0.marks[key] = (mark, edit) } }
    }

    /// The configuration of the caches.
    package static let configuration = TieredCacheConfiguration(
        CacheConfiguration(
            timeToLive: .seconds(4),
            staleWhileRevalidate: .seconds(3),
            staleIfError: .seconds(6),
            failureBackoff: .milliseconds(300),
            maxEntries: 2,
            maxConcurrentLoads: 2,
            loadTimeout: .milliseconds(2500)
        ),
        localTimeToLive: .seconds(1),
        lease: .milliseconds(800),
        maxPendingInvalidations: 2,
        acceptsMarks: true
    )

    private let simulation: Simulation
    private let quotes = Quotes()
    private let memory: InMemoryStore
    private let isFaulty: Shared
    private let caches: [TieredCache<Int, Int>]

    /// Creates the scenario of a run.
    package init(_ simulation: Simulation) {
        self.simulation = simulation
        let memory = InMemoryStore(clock: simulation.clock)
        let isFaulty = Shared(true)
        let store = StoreDouble(memory, isShared: true, canStall: true) {
            guard isFaulty.value else { return nil }
            switch simulation.random(in: 0...29) {
            case 0: return .reject(.unavailable)
            case 1: return .unknownOutcomeAfterApply
            case 2: return .hang
            default: return nil
            }
        }
        self.memory = memory
        self.isFaulty = isFaulty
        let quotes = quotes
        caches = (0..<2).map { _ in Self.cache(simulation, quotes, store) }
    }

    private static func cache(
        _ simulation: Simulation,
        _ quotes: Quotes,
        _ store: StoreDouble
    ) -> TieredCache<Int, Int> {
        let coding = CacheCoding<Int, Int>(
            schema: 1,
            key: { ["\($0)"] },
            encode: { Array("\($0)".utf8) },
            decode: { bytes in
                guard let value = Int(String(decoding: bytes, as: UTF8.self)) else { throw TestError() }
                return value
            }
        )
        return TieredCache(
            configuration,
            coding: coding,
            keyspace: "quotes",
            store: store,
            storeFailure: .failOpen(timeout: .milliseconds(500)),
            clock: simulation.clock
        ) { key, _ in
            let value = quotes.saved(key)
            switch simulation.random(in: 0...19) {
            case 0: try await simulation.clock.sleep(for: .seconds(600))
            case 1, 2: throw TestError()
            default: try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...1200)))
            }
            return .value(value, tags: ["tag \(key)"])
        }
    }

    /// Runs the scenario, in which a read that receives a wrong value fails the run.
    package func run() async throws {
        for reader in 0..<6 {
            simulation.spawn {
                for _ in 0..<8 {
                    await read(simulation.random(in: 0...2), in: reader % 2)
                    try await sleep(upTo: 900)
                }
            }
        }
        for process in 0..<2 {
            simulation.spawn {
                for _ in 0..<5 {
                    try await sleep(upTo: 900)
                    await edit(simulation.random(in: 0...2), in: process)
                }
            }
        }
        simulation.spawn {
            for _ in 0..<3 {
                try await sleep(upTo: 1500)
                try await die(reading: simulation.random(in: 0...2))
            }
        }
        await simulation.waitForClients()
        try await recover()
    }

    private func sleep(upTo milliseconds: Int) async throws {
        try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...milliseconds)))
    }

    private func read(_ key: Int, in process: Int) async {
        let marked = quotes.mark(key)
        var floor = quotes.visible(key, in: process)
        var freshness = CacheRead.any
        switch simulation.random(in: 0...7) {
        case 0: (freshness, floor) = (.fresh, quotes.saved(key))
        case 1, 2:
            if let marked { (freshness, floor) = (.notOlderThan(marked.mark), max(floor, marked.edit)) }
        default: break
        }
        if let value = try? await caches[process].value(for: key, freshness) {
            simulation.expect(value >= floor, "process \(process), \(freshness): read \(value) of \(key), not \(floor)")
        }
        if let value = caches[process].cached(key) {
            let floor = quotes.visible(key, in: process)
            simulation.expect(value >= floor, "process \(process): peeked \(value) of \(key), not \(floor)")
        }
    }

    private func edit(_ key: Int, in process: Int) async {
        let edit = quotes.save(key)
        let mark =
            switch simulation.random(in: 0...5) {
            case 0, 1, 2: await caches[process].invalidate(key)
            case 3, 4: await caches[process].invalidate(tag: "tag \(key)")
            default: await caches[process].invalidateAll()
            }
        quotes.makeVisible(edit, of: key, in: process)
        quotes.setMark(mark, of: key, edit: edit)
        guard mark.isConfirmed else { return }
        // The other process sees the edit after its copies and the loads that run at the invalidation have ended.
        simulation.spawn {
            let bound = Self.configuration.localTimeToLive + Self.configuration.cache.loadTimeout
            try await simulation.clock.sleep(for: bound)
            quotes.makeVisible(edit, of: key, in: 1 - process)
        }
    }

    /// Runs a process that reads a quote and dies, and neither renews nor ends its lease.
    private func die(reading key: Int) async throws {
        let store = StoreDouble(memory, isShared: true)
        let cache = Self.cache(simulation, quotes, store)
        let read = simulation.spawn { try await cache.value(for: key) }
        try await sleep(upTo: 600)
        store.outage = .reject(.unavailable)
        read.cancel()
    }

    /// Ends the faults, waits until every invalidation is confirmed and checks every value in every process.
    private func recover() async throws {
        isFaulty.value = false
        while caches.contains(where: { $0.snapshot.pendingInvalidations > 0 }) {
            try await simulation.clock.sleep(for: .milliseconds(100))
        }
        try await simulation.clock.sleep(for: Self.configuration.localTimeToLive)
        for (process, cache) in caches.enumerated() {
            for key in 0..<3 {
                guard let value = try? await cache.value(for: key) else { continue }
                let right = quotes.saved(key)
                simulation.expect(value == right, "process \(process) reads \(value) of \(key), not \(right)")
            }
        }
    }
}

/// A value that several tasks share.
private final class Shared: Sendable {
    private let state: Lock<Bool>

    init(_ value: Bool) { state = Lock(value) }

    var value: Bool {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}
