import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport

@testable import ReliabilityCache

/// A store that several tiered caches share, as several processes do.
struct TierFixture: Sendable {
    let clock: ManualClock
    let store: StoreDouble

    init(
        clock: ManualClock = ManualClock(),
        canStall: Bool = false,
        maxValueBytes: Int? = nil,
        losesWritesOnFailover: Bool = false,
        faults: @escaping @Sendable () -> StoreDouble.Fault? = { nil }
    ) {
        self.clock = clock
        store = StoreDouble(
            InMemoryStore(clock: clock),
            isShared: true,
            canStall: canStall,
            maxValueBytes: maxValueBytes,
            losesWritesOnFailover: losesWritesOnFailover,
            faults: faults
        )
    }

    static func coding(schema: UInt32 = 1) -> CacheCoding<Int, Int> {
        CacheCoding(
            schema: schema,
            key: { ["\($0)"] },
            encode: { value in
                if value < 0 { throw TestError() }
                return Array("\(value)".utf8)
            },
            decode: { bytes in
                guard let value = Int(String(decoding: bytes, as: UTF8.self)) else { throw TestError() }
                return value
            }
        )
    }

    /// A configuration without randomness.
    static func configuration(
        timeToLive: Duration = .seconds(100),
        staleWhileRevalidate: Duration = .zero,
        staleIfError: Duration = .zero,
        acceptsMarks: Bool = true
    ) -> TieredCacheConfiguration {
        TieredCacheConfiguration(
            CacheConfiguration(
                timeToLive: timeToLive,
                jitter: 0,
                earlyRefresh: .none,
                staleWhileRevalidate: staleWhileRevalidate,
                staleIfError: staleIfError
            ),
            acceptsMarks: acceptsMarks
        )
    }

    /// Creates the cache of a process, in which even keys have the tag "even".
    func cache(
        _ source: Source,
        _ configuration: TieredCacheConfiguration = TierFixture.configuration(),
        schema: UInt32 = 1,
        over other: (any KeyValueStore)? = nil,
        storeFailure: StoreFailureMode = .failOpen(),
        observer: (@Sendable (CacheEvent<Int>) -> Void)? = nil
    ) -> TieredCache<Int, Int> {
        TieredCache(
            configuration,
            coding: Self.coding(schema: schema),
            keyspace: "numbers",
            store: other ?? store,
            storeFailure: storeFailure,
            clock: clock,
            observer: observer
        ) { key, stale in
            .value(try await source.load(stale: stale), tags: key % 2 == 0 ? ["even"] : [])
        }
    }

    /// Returns the entry of a key's value.
    func entry(_ key: Int) async throws -> StoreEntry? {
        try await store.memory.get(TierKeys(keyspace: "numbers").place(["\(key)"]).value)
    }
}
