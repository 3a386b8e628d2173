import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@Suite("KeyValueStore.modify")
struct KeyValueStoreModifyTests {
    let store = InMemoryStore(clock: ManualClock())
    let key = StoreKey("test", "key")

    @Test("modify creates, changes and deletes an entry")
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

    @Test("modify retries after a conflict and fails after its attempts")
    func contention() async throws {
        // Another writer writes before each of the first three commits.
        let inner = InMemoryStore()
        let store = ContendedStore(store: inner, key: key, times: 3)
        var seen: [[UInt8]?] = []
        try await store.modify(key, expiry: .never, maxAttempts: 4) { value in
            seen.append(value)
            return [99]
        }
        #expect(seen == [nil, [1], [2], [3]])
        #expect(try await inner.get(key)?.value == [99])

        let busy = ContendedStore(store: inner, key: key, times: 3)
        let error = await #expect(throws: StoreError.self) {
            try await busy.modify(key, expiry: .never, maxAttempts: 3) { _ in [100] }
        }
        #expect(error?.reason == .unavailable)
        #expect(try await inner.get(key)?.value == [3])
    }

    @Test("modify fails at the deadline if every attempt conflicts")
    func deadline() async throws {
        let clock = ManualClock()
        let store = ContendedStore(store: InMemoryStore(), key: key, times: .max)
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

    @Test("an error of the function ends modify without a write")
    func throwing() async throws {
        await #expect(throws: CancellationError.self) {
            try await store.modify(key, expiry: .never) { _ in throw CancellationError() }
        }
        #expect(try await store.get(key) == nil)
    }

    @Test("modify does not retry an unknown outcome")
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

    /// A store with another writer before the first commits.
    private struct ContendedStore: KeyValueStore {
        let store: InMemoryStore
        let key: StoreKey
        let times: Int
        let commits = ConcurrencyCounter()

        var capabilities: StoreCapabilities { store.capabilities }
        func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] { try await store.get(keys) }
        func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
            let time = commits.increment()
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
