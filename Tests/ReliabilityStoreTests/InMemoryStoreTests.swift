import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@Suite("InMemoryStore")
struct InMemoryStoreTests {
    let clock = ManualClock()

    @Test(
        "its histories are those of a simple model, for many seeds",
        arguments: ["entries.history", "records.history", "updates.parity"]
    )
    func histories(id: String) async throws {
        let check = try #require(StoreConformance.checks.first { $0.id == id })
        try await StoreConformance(seeds: 100) { InMemoryStore(clock: $0) }.run(check)
    }

    @Test("a store that is full of expired entries takes as many new ones")
    func expiredEntriesMakeRoom() async throws {
        let store = InMemoryStore(maximumEntries: 500, clock: clock)
        for round in 0..<3 {
            // In one commit more than the store frees by itself with each call.
            for commit in 0..<5 {
                let writes = (0..<100).map { number in
                    StoreWrite.put(
                        StoreKey("test", "\(round)", "\(commit)", "\(number)"),
                        [1],
                        .after(.seconds(1)),
                        if: .absent
                    )
                }
                guard case .committed = try await store.commit(writes) else { throw StoreError(.failed, "a conflict") }
            }
            await #expect(throws: StoreError.self) {
                try await store.commit([.put(StoreKey("test", "one more"), [1], .never, if: .any)])
            }
            clock.advance(by: .milliseconds(1001))
        }
    }

    @Test("records count against its limits too")
    func recordsCount() async throws {
        let store = InMemoryStore(maximumEntries: 3, clock: clock)
        let records = (0..<4).map { NewRecord(queue: "q", id: "\($0)", payload: []) }
        _ = try await store.enqueue(Array(records.prefix(2)))
        let error = await #expect(throws: StoreError.self) { try await store.enqueue(records) }
        #expect(error?.reason == .capacityExceeded)
        #expect(try await store.counts("q") == RecordCounts(pending: 2, dead: 0))
        let key = StoreKey("test", "1")
        let both = await #expect(throws: StoreError.self) {
            try await store.commit([.put(key, [], .never, if: .any)], enqueueing: [records[3]])
        }
        #expect(both?.reason == .capacityExceeded)
        #expect(try await store.get(key) == nil)
        _ = try await store.commit([.put(key, [], .never, if: .any)], enqueueing: [records[0]])
        #expect(try await store.get(key) != nil)
    }

    @Test("in a full store an entry can be moved in one commit")
    func move() async throws {
        let store = InMemoryStore(maximumEntries: 1, clock: clock)
        _ = try await store.commit([.put(StoreKey("test", "1"), [1], .never, if: .absent)])
        let result = try await store.commit([
            .delete(StoreKey("test", "1"), if: .present), .put(StoreKey("test", "2"), [1], .never, if: .absent),
        ])
        #expect(result == .committed([nil, StoreVersion(rawValue: 2)]))
    }

    @Test("it is gone with the process, has one owner and cannot stall")
    func capabilities() {
        let capabilities = InMemoryStore().capabilities
        #expect(capabilities.durability == .none)
        #expect(capabilities.openedAt == StoreVersion(rawValue: 1))
        #expect(!capabilities.canStall)
        #expect(!capabilities.losesWritesOnFailover)
    }

    @Test("a store without room is refused at construction")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) { _ = InMemoryStore(maximumEntries: 0) }
        await #expect(processExitsWith: .failure) { _ = InMemoryStore(maximumBytes: 0) }
    }
}

@Suite("Usage of a store")
struct StoreUsageTests {
    let clock = ManualClock()

    @Test("figures say how much there is and how near the limits are, and follow what expires")
    func usage() async throws {
        let store = InMemoryStore(maximumEntries: 10, maximumBytes: 1000, clock: clock)
        #expect(store.usage == StoreUsage(entries: 0, records: 0, bytes: 0, maximumEntries: 10, maximumBytes: 1000))
        #expect(store.usage.fraction == 0)
        let key = StoreKey("test", "1")
        _ = try await store.commit(
            [.put(key, [1, 2, 3], .after(.seconds(1)), if: .absent)],
            enqueueing: [NewRecord(queue: "q", id: "1", payload: [1])]
        )
        let bytes = key.byteCount + 3 + 64 + 3 + 64
        #expect(
            store.usage == StoreUsage(entries: 1, records: 1, bytes: bytes, maximumEntries: 10, maximumBytes: 1000)
        )
        #expect(store.usage.fraction == 0.2)
        for claim in try await store.claim("q", limit: 1, lease: .seconds(1)) {
            _ = try await store.settle([Settlement(claim, .dead(reason: "why"))])
        }
        #expect(store.usage.records == 1)
        clock.advance(by: .milliseconds(1001))
        #expect(store.usage.entries == 0)
        // The limit that is nearer counts.
        _ = try await store.commit([.put(key, [UInt8](repeating: 1, count: 700), .never, if: .absent)])
        #expect(store.usage.fraction > 0.7)
    }
}

@Suite("KeyValueStore.modify")
struct ModifyTests {
    let store = InMemoryStore(clock: ManualClock())
    let key = StoreKey("test", "key")

    @Test("it creates, changes and deletes")
    func modifies() async throws {
        let first = try await store.modify(key, expiry: .never) { value in
            #expect(value == nil)
            return [1]
        }
        #expect(try await store.get(key)?.version == first)
        try await store.modify(key, expiry: .never) { value in (value ?? []) + [2] }
        #expect(try await store.get(key)?.value == [1, 2])
        let deleted = try await store.modify(key, expiry: .never) { _ in nil }
        #expect(deleted == nil)
        #expect(try await store.get(key) == nil)
        #expect(try await store.modify(key, expiry: .never) { _ in nil } == nil)
    }

    @Test("it begins again with what somebody else wrote, and gives up after its attempts")
    func contention() async throws {
        // Somebody else writes before each of the first three commits.
        let inner = InMemoryStore()
        let store = MeddlingStore(store: inner, key: key, times: 3)
        var seen: [[UInt8]?] = []
        try await store.modify(key, expiry: .never, attempts: 4) { value in
            seen.append(value)
            return [99]
        }
        #expect(seen == [nil, [1], [2], [3]])
        #expect(try await inner.get(key)?.value == [99])

        let busy = MeddlingStore(store: inner, key: key, times: 3)
        let error = await #expect(throws: StoreError.self) {
            try await busy.modify(key, expiry: .never, attempts: 3) { _ in [100] }
        }
        #expect(error?.reason == .unavailable)
        #expect(try await inner.get(key)?.value == [3])
    }

    @Test("an entry that never stops changing is given up at the deadline")
    func deadline() async throws {
        let clock = ManualClock()
        let store = MeddlingStore(store: InMemoryStore(), key: key, times: .max)
        let deadline = Deadline(instant: TimeSource(clock).instant(after: .seconds(1)), timeSource: TimeSource(clock))
        var attempts = 0
        let error = await #expect(throws: StoreError.self) {
            try await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
                try await store.modify(key, expiry: .never) { _ in
                    attempts += 1
                    clock.advance(by: .milliseconds(100))
                    return [1]
                }
            }
        }
        #expect(error?.reason == .unavailable && attempts == 10)
    }

    @Test("what its function throws ends it, and nothing is written")
    func throwing() async throws {
        await #expect(throws: CancellationError.self) {
            try await store.modify(key, expiry: .never) { _ in throw CancellationError() }
        }
        #expect(try await store.get(key) == nil)
    }

    @Test("an unknown outcome is not tried again")
    func unknownOutcome() async throws {
        let faulty = FaultInjectingStore(store)
        faulty.failNext(.commit, with: .unknownOutcomeAfterApply)
        let error = await #expect(throws: StoreError.self) {
            try await faulty.modify(key, expiry: .never) { value in (value ?? []) + [1] }
        }
        #expect(error?.reason == .unknownOutcome)
        #expect(faulty.count(of: .commit) == 1)
        #expect(try await store.get(key)?.value == [1])
    }

    /// A store in which somebody else is faster, several times.
    private struct MeddlingStore: KeyValueStore {
        let store: InMemoryStore
        let key: StoreKey
        let times: Int
        let meddled = Counter()

        var capabilities: StoreCapabilities { store.capabilities }
        func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] { try await store.get(keys) }
        func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
            let time = meddled.increment()
            if time <= times { _ = try await store.commit([.put(key, [UInt8(time)], .never, if: .any)]) }
            return try await store.commit(writes)
        }
        func update(_ updates: [(key: StoreKey, update: AtomicUpdate)]) async throws(StoreError) -> UpdateResult {
            try await store.update(updates)
        }
        func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
            try await store.scan(prefix, after: after, limit: limit)
        }
    }
}
