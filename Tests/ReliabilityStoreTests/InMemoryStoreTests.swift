import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@Suite("InMemoryStore")
struct InMemoryStoreTests {
    let clock = ManualClock()

    @Test("random histories match a model", arguments: ["entries.history", "records.history", "updates.parity"])
    func histories(id: String) async throws {
        let check = try #require(StoreConformance.checks.first { $0.id == id })
        try await StoreConformance(seeds: 100) { InMemoryStore(clock: $0) }.run(check)
    }

    @Test("expired entries make room for new entries")
    func expiredEntriesMakeRoom() async throws {
        let store = InMemoryStore(InMemoryStore.Configuration(maxEntries: 500), clock: clock)
        for round in 0..<3 {
            // One commit has more writes than the store frees with each call.
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

    @Test("records count against the limits")
    func recordsCount() async throws {
        let store = InMemoryStore(InMemoryStore.Configuration(maxEntries: 3), clock: clock)
        let records = (0..<4).map { NewRecord(queue: "q", id: "\($0)", payload: []) }
        _ = try await store.enqueue(Array(records.prefix(2)))
        let error = await #expect(throws: StoreError.self) { try await store.enqueue(records) }
        #expect(error?.reason == .capacityExceeded)
        #expect(try await store.counts("q") == RecordCounts(pending: 2, deadLetters: 0))
        let key = StoreKey("test", "1")
        let both = await #expect(throws: StoreError.self) {
            try await store.commit([.put(key, [], .never, if: .any)], enqueueing: [records[3]])
        }
        #expect(both?.reason == .capacityExceeded)
        #expect(try await store.get(key) == nil)
        _ = try await store.commit([.put(key, [], .never, if: .any)], enqueueing: [records[0]])
        #expect(try await store.get(key) != nil)
    }

    @Test("a full store can move an entry in one commit")
    func move() async throws {
        let store = InMemoryStore(InMemoryStore.Configuration(maxEntries: 1), clock: clock)
        _ = try await store.commit([.put(StoreKey("test", "1"), [1], .never, if: .absent)])
        let result = try await store.commit([
            .delete(StoreKey("test", "1"), if: .present), .put(StoreKey("test", "2"), [1], .never, if: .absent),
        ])
        #expect(result == .committed([nil, StoreVersion(rawValue: 2)]))
    }

    @Test("the store is not durable, has one owner and cannot stall")
    func capabilities() {
        let capabilities = InMemoryStore().capabilities
        #expect(capabilities.durability == .none)
        #expect(capabilities.openedAt == StoreVersion(rawValue: 1))
        #expect(!capabilities.canStall)
    }

    @Test("a limit of zero is rejected")
    func invalidLimits() async {
        await #expect(processExitsWith: .failure) { _ = InMemoryStore(InMemoryStore.Configuration(maxEntries: 0)) }
        await #expect(processExitsWith: .failure) { _ = InMemoryStore(InMemoryStore.Configuration(maxBytes: 0)) }
    }
}
