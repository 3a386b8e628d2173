import Dedup
import Foundation
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityTesting
import Testing

@Suite("Dedup over a FileStore")
struct DedupFileStoreTests {
    private let directory = NSTemporaryDirectory() + "dedup-\(UUID().uuidString)"

    @Test("of twenty equal requests at once exactly one runs, and its result outlives the store")
    func concurrent() async throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let runs = Counter()
        var store = try await FileStore.open(at: directory)
        var dedup = Deduplicator(.replay(retention: nil), keyspace: "charges", store: store)
        await withTaskGroup { group in
            for _ in 0..<20 {
                group.addTask { [dedup] in
                    _ = try? await dedup.run("charge", ["ada", "1"], fingerprint: [1]) { _ in
                        runs.increment()
                        await Task.yield()
                        return "receipt"
                    }
                }
            }
        }
        #expect(runs.value == 1)
        await store.close()

        store = try await FileStore.open(at: directory)
        dedup = Deduplicator(.replay(retention: nil), keyspace: "charges", store: store)
        let replay = try await dedup.run("charge", ["ada", "1"], fingerprint: [1]) { _ in "another" }
        #expect(replay.value == "receipt" && replay.isReplay)
        await store.close()
    }

    @Test("a claim whose process is gone is taken over at the next opening, under a later token")
    func takeover() async throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let first = try await FileStore.open(at: directory)
        // A lease that no machine is slow enough to outlive.
        let configuration = DedupConfiguration(.replay(retention: nil), lease: .seconds(365 * 86_400))
        let dedup = Deduplicator(configuration, keyspace: "charges", store: first)
        let gate = ManualClock()
        let tokens = EventRecorder<DedupClaim>()
        let stuck = Task {
            try await dedup.run("charge", ["ada", "1"]) { claim in
                tokens.record(claim)
                try await gate.sleep(for: .seconds(1))
                return "first"
            }
        }
        await gate.waitForSleepers(1)
        // As after a crash: the claim is on disk, and nobody finishes it.
        await first.close()

        let second = try await FileStore.open(at: directory)
        let again = Deduplicator(.replay(retention: nil), keyspace: "charges", store: second)
        let result = try await again.run("charge", ["ada", "1"]) { claim in
            tokens.record(claim)
            return "second"
        }
        #expect(result.value == "second" && !result.isReplay)
        let claims = tokens.events
        #expect(claims.map(\.isTakeover) == [false, true])
        let (old, new) = (try #require(claims.first?.token), try #require(claims.last?.token))
        #expect(old < new)

        // The first body ends after all: its value is its caller's, and is not stored over the successor's.
        gate.advance(by: .seconds(1))
        let late = try await stuck.value
        #expect(late.value == "first" && !late.isStored)
        let replay = try await again.run("charge", ["ada", "1"]) { _ in "third" }
        #expect(replay.value == "second" && replay.isReplay)
        await second.close()
    }
}
