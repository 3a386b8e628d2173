import Foundation
import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import Dedup

@Suite("A process that stood still for longer than its lease")
struct StandstillTests {
    let bench = Bench()

    @Test(
        "does not start an operation that it is running, whoever asks for it",
        arguments: [true, false],
        [true, false]
    )
    func standstill(isShared: Bool, isSameDeduplicator: Bool) async throws {
        let store = StoreDouble(bench.memory, isShared: isShared)
        let dedup = bench.dedup(lease: .seconds(1), store: store)
        let other = isSameDeduplicator ? dedup : bench.dedup(lease: .seconds(1), store: store)
        let gate = Gate()
        let runs = Counter()
        let first = Task {
            try await dedup.run("charge", ["ada", "k1"]) { _ in
                runs.increment()
                await gate.pass()
                return "first"
            }
        }
        await gate.waitForArrivals(1)
        // The request comes before the renewal does.
        store.failAlways(.before(.unavailable))
        bench.clock.advance(by: .seconds(86_400))
        if isShared { await bench.clock.waitForSleepers(1) }
        store.failAlways(nil)
        for _ in 1...8 {
            let error = await #expect(throws: DedupError.self) {
                try await other.run("charge", ["ada", "k1"]) { _ in
                    runs.increment()
                    return "second"
                }
            }
            #expect(error?.reason == .inProgress(retryAfter: .seconds(1)))
        }
        gate.open()
        #expect(try await first.value.isStored)
        #expect(try await other.run("charge", ["ada", "k1"]) { _ in "third" }.value == "first")
        #expect(runs.value == 1)
    }

    @Test("and whose store is back from an outage does not start an operation whose result it is about to write")
    func outage() throws {
        try Simulation.run(seeds: 0..<50) { simulation in
            let bench = KeptResultTests.Bench(simulation, lease: .seconds(1))
            let first = simulation.spawn { try await bench.pay() }
            try await bench.clock.sleep(for: .milliseconds(200))
            bench.store.outage = .failBefore
            try await bench.clock.sleep(for: .milliseconds(simulation.random(in: 5000...8000)))
            bench.store.outage = nil
            // Another deduplicator asks the store before the writer does.
            let other = Deduplicator(
                DedupConfiguration(.replay(retention: nil), lease: .seconds(1)),
                keyspace: "test",
                store: bench.store,
                clock: bench.clock,
                liveClaims: bench.process,
                observer: nil
            )
            for _ in 0..<20 {
                _ = try? await other.run("charge", ["ada", "k1"]) { _ in bench.runs.increment() }
                try await bench.clock.sleep(for: .milliseconds(100))
            }
            simulation.expect(bench.runs.value == 1, "it ran \(bench.runs.value) times")
            simulation.expect(try await bench.pay().isReplay, "the result was not written")
            _ = try await first.value
        }
    }

    @Test("needs no timer for its claims in a store with one owner, and one timer without a task in any other")
    func cost() async throws {
        for isShared in [false, true] {
            let dedup = bench.dedup(store: StoreDouble(bench.memory, isShared: isShared))
            let result = try await dedup.run("charge", ["ada", "\(isShared)"]) { [clock = bench.clock] _ in
                #expect(clock.sleeperCount == (isShared ? 1 : 0))
                return ""
            }
            #expect(result.isStored && bench.clock.sleeperCount == 0)
        }
    }
}

@Suite("A claim that was never settled")
struct TakeoverTests {
    let bench = Bench()

    private static let day = Duration.seconds(86_400)

    private func isTakeover(_ dedup: Deduplicator, _ key: DedupKey = ["ada", "k1"]) async throws -> Bool {
        try await dedup.run("charge", key) { "\($0.isTakeover)" }.value == "true"
    }

    @Test(
        "is a takeover for the next call after any downtime up to 30 days, in every mode",
        arguments: [0, 1, 29] as [Int64],
        [DedupMode.replay(retention: .seconds(60)), .replay(retention: nil), .refuse()]
    )
    func downtime(days: Int64, mode: DedupMode) async throws {
        let store = StoreDouble(bench.memory, isShared: true)
        let dying = bench.dedup(mode, store: store, process: LiveClaims())
        let gate = Gate()
        let lost = Task { try await dying.run("charge", ["ada", "k1"]) { _ in await gate.pass() } }
        await gate.waitForArrivals(1)
        // As of a dead process: nothing renews the lease.
        store.failAlways(.before(.unavailable))
        bench.clock.advance(by: .seconds(30) + resolution + Self.day * Int(days))
        await bench.clock.waitForSleepers(1)
        store.failAlways(nil)
        #expect(try await isTakeover(bench.dedup(mode, store: store)))
        gate.open()
        _ = try await lost.value
    }

    @Test("is known for as long as a result is kept, and not for longer")
    func retention() async throws {
        let mode = DedupMode.replay(retention: Self.day * 90)
        let store = StoreDouble(bench.memory, isShared: true)
        for (key, days) in [("k1", 89), ("k2", 91)] {
            let dying = bench.dedup(mode, store: store, process: LiveClaims())
            let gate = Gate()
            let lost = Task { try await dying.run("charge", ["ada", key]) { _ in await gate.pass() } }
            await gate.waitForArrivals(1)
            store.failAlways(.before(.unavailable))
            bench.clock.advance(by: .seconds(30) + Self.day * days)
            await bench.clock.waitForSleepers(1)
            store.failAlways(nil)
            #expect(try await isTakeover(bench.dedup(mode, store: store), [key]) == false)
            #expect(try await isTakeover(bench.dedup(mode, store: store), ["ada", key]) == (days < 90))
            gate.open()
            _ = try await lost.value
        }
    }

    @Test("is a takeover after a downtime longer than the lease in a store with one owner, too")
    func fileStore() async throws {
        let directory = NSTemporaryDirectory() + "dedup-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let start: Int64 = 1_800_000_000_000_000_000
        let first = try FileStore(at: directory, unixTime: start)
        // A process of its own.
        let dedup = Deduplicator(
            DedupConfiguration(.refuse(window: .seconds(1))),
            keyspace: "dedup",
            store: first,
            clock: ContinuousClock(),
            liveClaims: LiveClaims(),
            observer: nil
        )
        let gate = Gate()
        let lost = Task { try await dedup.run("charge", ["ada", "k1"]) { _ in await gate.pass() } }
        await gate.waitForArrivals(1)
        // As after a crash: the claim is on disk, and nobody settles it.
        await first.close()
        let second = try FileStore(at: directory, unixTime: start + 20 * 86_400_000_000_000)
        #expect(try await isTakeover(Deduplicator(.replay(retention: nil), store: second)))
        gate.open()
        _ = try await lost.value
        await second.close()
    }

    @Test("whose operation still runs in this process is none for a store that was opened again, until that has ended")
    func reopened() async throws {
        let directory = NSTemporaryDirectory() + "dedup-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let first = try FileStore(at: directory)
        let dedup = Deduplicator(.replay(retention: nil), store: first)
        let gate = Gate()
        let running = Task { try await dedup.run("charge", ["ada", "k1"]) { _ in await gate.pass() } }
        await gate.waitForArrivals(1)
        // As after a failure of the disk: the process opens the store again.
        await first.close()
        let second = try FileStore(at: directory)
        let reopened = Deduplicator(.replay(retention: nil), store: second)
        for _ in 0..<3 {
            let error = await #expect(throws: DedupError.self) { try await isTakeover(reopened) }
            #expect(error?.reason == .inProgress(retryAfter: .seconds(1)))
        }
        gate.open()
        #expect(try await running.value.isStored == false)
        #expect(try await isTakeover(reopened))
        await second.close()
    }

    enum Failure: CaseIterable { case thrown, cancelled, notFinal, cancelledAtTheClaim, unknownAndCancelled }

    @Test("stays one until a run succeeds", arguments: Failure.allCases)
    func failedTakeover(failure: Failure) async throws {
        try await bench.leaveClaim(["ada", "k1"])
        let store = StoreDouble(bench.memory, openedAt: StoreVersion(rawValue: 2))
        let dedup = bench.dedup(store: store)
        // Of a call's writes, the first finds the claim and the second takes it over.
        switch failure {
        case .cancelledAtTheClaim: store.fail(2, .cancelAfter)
        case .unknownAndCancelled:
            store.fail(2, .after(.unknownOutcome))
            store.fail(3, .cancelBefore)
        default: break
        }
        let run = Task {
            try await dedup.run("charge", ["ada", "k1"], isFinal: { (_: String) in failure != .notFinal }) { claim in
                #expect(claim.isTakeover)
                switch failure {
                case .thrown: throw Flaky()
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

    @Test("was settled by a failure in its own time: then the next call is no takeover")
    func failure() async throws {
        let dedup = bench.dedup()
        await #expect(throws: Flaky.self) { try await dedup.run("charge", ["ada", "k1"]) { _ in throw Flaky() } }
        #expect(try await isTakeover(dedup) == false)
    }

    @Test("keeps another request from its key as well")
    func mismatch() async throws {
        try await bench.leaveClaim(["ada", "k1"])
        let store = StoreDouble(bench.memory, openedAt: StoreVersion(rawValue: 2))
        let claimed = bench.dedup(store: store)
        await #expect(throws: Flaky.self) {
            try await claimed.run("charge", ["ada", "k1"], fingerprint: [1]) { _ in throw Flaky() }
        }
        let error = await #expect(throws: DedupError.self) {
            try await claimed.run("charge", ["ada", "k1"], fingerprint: [2]) { _ in }
        }
        #expect(error?.reason == .mismatch)
    }
}
