import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import Dedup

@Suite("Deduplicator under chance")
struct DeduplicatorChaosTests {
    /// Any store call may fail before it happens, fail after, or have an unknown outcome; any task may be cancelled at it.
    @Test(
        "whatever fails and whoever goes away: one kept result, never two at once, every replay the same",
        arguments: 1...60
    )
    func chance(seed: Int) async throws {
        let random = Lock(SeededGenerator(seed: UInt64(seed)))
        let faults: [StoreDouble.Fault] = [
            .before(.unavailable), .before(.unknownOutcome), .after(.unknownOutcome), .cancelBefore, .cancelAfter,
        ]
        let memory = InMemoryStore()
        let store = StoreDouble(memory) {
            random.withLock { generator in
                generator.next() % 4 == 0 ? faults[Int(generator.next() % UInt64(faults.count))] : nil
            }
        }
        let dedup = Deduplicator(.replay(retention: nil), keyspace: "test", store: store)
        let inside = Counter()
        let results = await withTaskGroup { group in
            for number in 0..<20 {
                group.addTask { () -> DedupResult<String>? in
                    try? await dedup.run("charge", ["ada", "k1"], fingerprint: [1]) { _ in
                        inside.increment()
                        defer { inside.decrement() }
                        await Task.yield()
                        if number % 5 == 0 { throw Flaky() }
                        return "\(number)"
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        let ended = results.compactMap { $0 }
        #expect(inside.highest <= 1, "seed \(seed)")
        #expect(ended.count { $0.isStored && !$0.isReplay } <= 1, "seed \(seed)")
        // What was kept, although the store may not have said so to the one who kept it.
        let kept = Set(ended.filter(\.isStored).map(\.value))
        #expect(kept.count <= 1, "seed \(seed)")
        #expect(kept.isSubset(of: ended.filter { !$0.isReplay }.map(\.value)), "seed \(seed)")
    }
}
