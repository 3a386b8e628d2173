import Foundation
import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@testable import Dedup

@Suite("Deduplicator takeovers")
struct DeduplicatorTakeoverTests {
    let fixture = DedupFixture()

    private static let day = Duration.seconds(86_400)

    private func isTakeover(_ dedup: Deduplicator, _ key: CompositeKey = ["ada", "k1"]) async throws -> Bool {
        try await dedup.run("charge", key) { "\($0.isTakeover)" }.value == "true"
    }

    @Test(
        "an unsettled claim is a takeover after a downtime of up to 30 days",
        arguments: [0, 1, 29] as [Int64],
        [Deduplicator.Mode.replay(retention: .seconds(60)), .replay(retention: nil), .reject()]
    )
    func downtime(days: Int64, mode: Deduplicator.Mode) async throws {
        let store = StoreDouble(fixture.memory, isShared: true)
        let dying = fixture.dedup(mode, store: store, process: LocalClaims())
        let gate = TaskGate()
        let lost = Task { try await dying.run("charge", ["ada", "k1"]) { _ in await gate.pass() } }
        await gate.waitForArrivals(1)
        // As in a dead process, nothing renews the lease.
        store.outage = .reject(.unavailable)
        fixture.clock.advance(by: .seconds(30) + resolution + Self.day * Int(days))
        await fixture.clock.waitForSleepers(1)
        store.outage = nil
        #expect(try await isTakeover(fixture.dedup(mode, store: store)))
        gate.open()
        _ = try await lost.value
    }

    @Test("an unsettled claim is known for as long as a result is kept")
    func retention() async throws {
        let mode = Deduplicator.Mode.replay(retention: Self.day * 90)
        let store = StoreDouble(fixture.memory, isShared: true)
        for (key, days) in [("k1", 89), ("k2", 91)] {
            let dying = fixture.dedup(mode, store: store, process: LocalClaims())
            let gate = TaskGate()
            let lost = Task { try await dying.run("charge", ["ada", key]) { _ in await gate.pass() } }
            await gate.waitForArrivals(1)
            store.outage = .reject(.unavailable)
            fixture.clock.advance(by: .seconds(30) + Self.day * days)
            await fixture.clock.waitForSleepers(1)
            store.outage = nil
            #expect(try await isTakeover(fixture.dedup(mode, store: store), [key]) == false)
            #expect(try await isTakeover(fixture.dedup(mode, store: store), ["ada", key]) == (days < 90))
            gate.open()
            _ = try await lost.value
        }
    }

    @Test("a downtime longer than the lease leads to a takeover in a FileStore")
    func fileStore() async throws {
        let directory = NSTemporaryDirectory() + "dedup-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let start: Int64 = 1_800_000_000_000_000_000
        let first = try FileStore(at: directory, unixTime: start)
        // The claims of a separate process.
        let dedup = Deduplicator(
            .reject(window: .seconds(1)),
            keyspace: "dedup",
            store: first,
            storeFailure: .failClosed(),
            clock: ContinuousClock(),
            localClaims: LocalClaims(),
            observer: nil
        )
        let gate = TaskGate()
        let lost = Task { try await dedup.run("charge", ["ada", "k1"]) { _ in await gate.pass() } }
        await gate.waitForArrivals(1)
        // As after a crash, the claim is on the disk and is never settled.
        await first.close()
        let second = try FileStore(at: directory, unixTime: start + 20 * 86_400_000_000_000)
        #expect(
            try await isTakeover(
                Deduplicator(.replay(retention: nil), keyspace: "dedup", store: second, storeFailure: .failClosed())
            )
        )
        gate.open()
        _ = try await lost.value
        await second.close()
    }

    @Test("an operation that still runs in the process is not taken over after a reopening")
    func reopened() async throws {
        let directory = NSTemporaryDirectory() + "dedup-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let clock = ManualClock()
        let day: Int64 = 1_780_000_000_000_000_000
        let first = try FileStore(at: directory, clock: clock, unixTime: day)
        let dedup = Deduplicator(
            .replay(retention: nil),
            keyspace: "dedup",
            store: first,
            storeFailure: .failClosed(),
            clock: clock
        )
        let gate = TaskGate()
        let running = Task { try await dedup.run("charge", ["ada", "k1"]) { _ in await gate.pass() } }
        await gate.waitForArrivals(1)
        // As after a failure of the disk, the process opens the store again.
        await first.close()
        let second = try FileStore(at: directory, clock: clock, unixTime: day)
        let reopened = Deduplicator(
            .replay(retention: nil),
            keyspace: "dedup",
            store: second,
            storeFailure: .failClosed(),
            clock: clock
        )
        for _ in 0..<3 {
            let error = await #expect(throws: DedupError.self) { try await isTakeover(reopened) }
            #expect(error?.reason == .inProgress(retryAfter: .seconds(1)))
        }
        gate.open()
        #expect(try await running.value.isStored == false)
        #expect(try await isTakeover(reopened))
        await second.close()
    }

    enum FailureKind: CaseIterable { case thrown, cancelled, notFinal, cancelledAtTheClaim, unknownAndCancelled }

    @Test("the next call is a takeover again if a takeover fails", arguments: FailureKind.allCases)
    func failedTakeover(failure: FailureKind) async throws {
        try await fixture.leaveClaim(["ada", "k1"])
        let store = StoreDouble(fixture.memory, openedAt: StoreVersion(rawValue: 2))
        let dedup = fixture.dedup(store: store)
        // The first write of a call finds the claim, and the second write takes it over.
        switch failure {
        case .cancelledAtTheClaim: store.failNext(.commit, with: nil, .cancelAfter)
        case .unknownAndCancelled:
            store.failNext(.commit, with: nil, .unknownOutcomeAfterApply, .cancelBefore)
        default: break
        }
        let run = Task {
            try await dedup.run("charge", ["ada", "k1"], isFinal: { (_: String) in failure != .notFinal }) { claim in
                #expect(claim.isTakeover)
                switch failure {
                case .thrown: throw TestError()
                case .cancelled: throw CancellationError()
                default: return "pending"
                }
            }
        }
        _ = await run.result
        #expect(try await isTakeover(dedup))
        let replay = try await dedup.run("charge", ["ada", "k1"]) { _ in "again" }
        #expect(replay.isReplay && replay.value == "true")
    }

    @Test("a failure within the lease settles the claim")
    func failure() async throws {
        let dedup = fixture.dedup()
        await #expect(throws: TestError.self) {
            try await dedup.run("charge", ["ada", "k1"]) { _ in throw TestError() }
        }
        #expect(try await isTakeover(dedup) == false)
    }

    @Test("a claim that was taken over still rejects another request")
    func mismatch() async throws {
        try await fixture.leaveClaim(["ada", "k1"])
        let store = StoreDouble(fixture.memory, openedAt: StoreVersion(rawValue: 2))
        let claimed = fixture.dedup(store: store)
        await #expect(throws: TestError.self) {
            try await claimed.run("charge", ["ada", "k1"], fingerprint: [1]) { _ in throw TestError() }
        }
        let error = await #expect(throws: DedupError.self) {
            try await claimed.run("charge", ["ada", "k1"], fingerprint: [2]) { _ in }
        }
        #expect(error?.reason == .mismatch)
    }
}
