import Foundation
import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@testable import Dedup

@Suite("Deduplicator over a FileStore")
struct DeduplicatorFileStoreTests {
    private let directory = NSTemporaryDirectory() + "dedup-\(UUID().uuidString)"

    @Test("exactly one of twenty duplicates runs, and its result survives a reopening")
    func concurrent() async throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let runs = ConcurrencyCounter()
        var store = try await FileStore.open(at: directory)
        var dedup = Deduplicator(
            .replay(retention: nil),
            keyspace: "charges",
            store: store,
            storeFailure: .failClosed()
        )
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
        dedup = Deduplicator(.replay(retention: nil), keyspace: "charges", store: store, storeFailure: .failClosed())
        let replay = try await dedup.run("charge", ["ada", "1"], fingerprint: [1]) { _ in "another" }
        #expect(replay.value == "receipt" && replay.isReplay)
        await store.close()
    }

    @Test("a claim of a crashed process is taken over after a reopening with a later token")
    func takeover() async throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let first = try await FileStore.open(at: directory)
        // The lease is longer than any test.
        let configuration = Deduplicator.Configuration(.replay(retention: nil), lease: .seconds(365 * 86_400))
        // The claims of a separate process.
        let dedup = Deduplicator(
            configuration,
            keyspace: "charges",
            store: first,
            storeFailure: .failClosed(),
            clock: ContinuousClock(),
            localClaims: LocalClaims(),
            observer: nil
        )
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
        // As after a crash, the claim is on the disk and is never settled.
        await first.close()

        let second = try await FileStore.open(at: directory)
        let again = Deduplicator(
            .replay(retention: nil),
            keyspace: "charges",
            store: second,
            storeFailure: .failClosed()
        )
        let result = try await again.run("charge", ["ada", "1"]) { claim in
            tokens.record(claim)
            return "second"
        }
        #expect(result.value == "second" && !result.isReplay)
        let claims = tokens.events
        #expect(claims.map(\.isTakeover) == [false, true])
        let (old, new) = (try #require(claims.first?.token), try #require(claims.last?.token))
        #expect(old < new)

        // The first operation ends late. Its caller gets the value, and the successor's result stays.
        gate.advance(by: .seconds(1))
        let late = try await stuck.value
        #expect(late.value == "first" && !late.isStored)
        let replay = try await again.run("charge", ["ada", "1"]) { _ in "third" }
        #expect(replay.value == "second" && replay.isReplay)
        await second.close()
    }

    @Test("a result is written when a full disk has space again")
    func fullDisk() async throws {
        let directory = NSTemporaryDirectory() + "dedup-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let file = try await FileStore.open(at: directory)
        let store = FaultInjectingStore(file)
        let events = EventRecorder<DedupEvent>()
        let dedup = Deduplicator(
            .replay(retention: nil),
            keyspace: "dedup",
            store: store,
            storeFailure: .failClosed(timeout: .milliseconds(100)),
            observer: events.recordCalls
        )
        let result = try await dedup.run("charge", ["ada", "1"]) { _ in
            store.outage = .reject(.diskFull)
            return "receipt"
        }
        try #require(result.value == "receipt" && !result.isStored && events.events.isEmpty)
        // The operation is not started again while the result waits.
        await #expect(throws: DedupError.self) { try await dedup.run("charge", ["ada", "1"]) { _ in "another" } }
        store.outage = nil
        _ = await events.wait(for: 2)
        let replay = try await dedup.run("charge", ["ada", "1"]) { _ in "another" }
        #expect(replay.isReplay && replay.value == "receipt")
        await file.close()
    }
}
