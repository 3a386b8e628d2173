import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@Suite("StoreUsage")
struct StoreUsageTests {
    let clock = ManualClock()

    @Test("the usage counts live entries, records and bytes against the limits")
    func usage() async throws {
        let store = InMemoryStore(InMemoryStore.Configuration(maxEntries: 10, maxBytes: 1000), clock: clock)
        #expect(store.usage == StoreUsage(entries: 0, records: 0, bytes: 0, maxEntries: 10, maxBytes: 1000))
        #expect(store.usage.fraction == 0)
        let key = StoreKey("test", "1")
        _ = try await store.commit(
            [.put(key, [1, 2, 3], .after(.seconds(1)), if: .absent)],
            enqueueing: [NewRecord(queue: "q", id: "1", payload: [1])]
        )
        let bytes = key.byteCount + 3 + 64 + 3 + 64
        #expect(
            store.usage == StoreUsage(entries: 1, records: 1, bytes: bytes, maxEntries: 10, maxBytes: 1000)
        )
        #expect(store.usage.fraction == 0.2)
        for claim in try await store.claim("q", limit: 1, lease: .seconds(1)) {
            _ = try await store.settle([Settlement(claim, .deadLetter(reason: "why"))])
        }
        #expect(store.usage.records == 1)
        clock.advance(by: .milliseconds(1001))
        #expect(store.usage.entries == 0)
        // The fraction is the greater of both limits.
        _ = try await store.commit([.put(key, [UInt8](repeating: 1, count: 700), .never, if: .absent)])
        #expect(store.usage.fraction > 0.7)
    }
}
