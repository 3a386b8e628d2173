import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@testable import Dedup

@Suite("Deduplicator with random faults")
struct DeduplicatorChaosTests {
    /// Every store call may fail or have an unknown outcome, and may cancel its task.
    @Test("random faults and cancellations leave at most one kept result and no concurrent runs", arguments: 1...60)
    func randomFaults(seed: Int) async throws {
        let random = Lock(SeededGenerator(seed: UInt64(seed)))
        let faults: [StoreDouble.Fault] = [
            .reject(.unavailable), .reject(.unknownOutcome), .unknownOutcomeAfterApply, .cancelBefore, .cancelAfter,
        ]
        let memory = InMemoryStore()
        let store = StoreDouble(memory) {
            random.withLock { generator in
                generator.next() % 4 == 0 ? faults[Int(generator.next() % UInt64(faults.count))] : nil
            }
        }
        let dedup = Deduplicator(.replay(retention: nil), keyspace: "test", store: store, storeFailure: .failClosed())
        let inside = ConcurrencyCounter()
        let results = await withTaskGroup { group in
            for number in 0..<20 {
                group.addTask { () -> DedupResult<String>? in
                    try? await dedup.run("charge", ["ada", "k1"], fingerprint: [1]) { _ in
                        inside.increment()
                        defer { inside.decrement() }
                        await Task.yield()
                        if number % 5 == 0 { throw TestError() }
                        return "\(number)"
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        let ended = results.compactMap { $0 }
        #expect(inside.peak <= 1, "seed \(seed)")
        #expect(ended.count { $0.isStored && !$0.isReplay } <= 1, "seed \(seed)")
        // The kept results. The store may not have confirmed them to their callers.
        let kept = Set(ended.filter(\.isStored).map(\.value))
        #expect(kept.count <= 1, "seed \(seed)")
        #expect(kept.isSubset(of: ended.filter { !$0.isReplay }.map(\.value)), "seed \(seed)")
    }
}
