import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@testable import Dedup

@Suite("Deduplicator during store failures")
struct DeduplicatorStoreFailureTests {
    let fixture = DedupFixture()
    let store: StoreDouble

    init() { store = StoreDouble(fixture.memory) }

    private static let outages: [StoreError.Reason] = [
        .unavailable, .unknownOutcome, .diskFull, .capacityExceeded, .failed, .closed,
        .corruption(file: "f", offset: 1),
    ]

    @Test("with failClosed nothing runs, and the error is storeUnavailable", arguments: outages)
    func failClosed(reason: StoreError.Reason) async throws {
        store.outage = .reject(reason)
        let dedup = fixture.dedup(store: store)
        var runs = 0
        for _ in 1...3 {
            let error = await #expect(throws: DedupError.self) {
                try await dedup.run("charge", ["ada", "k1"]) { _ in runs += 1 }
            }
            #expect(error?.reason == .storeUnavailable)
            #expect(error?.category == .unavailable)
            #expect((error?.underlyingError as? StoreError)?.reason == reason)
        }
        #expect(runs == 0)
        store.outage = nil
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in runs += 1 }.isStored)
        #expect(runs == 1)
    }

    @Test("with failOpen calls run unprotected until the store recovers")
    func failOpen() async throws {
        store.outage = .reject(.unavailable)
        let dedup = fixture.dedup(storeFailure: .failOpen(), store: store)
        var runs = 0
        for _ in 1...2 {
            let result = try await dedup.run("charge", ["ada", "k1"]) { claim in
                runs += 1
                #expect(claim.token == nil && claim.fence == nil)
                return "\(runs)"
            }
            #expect(!result.isStored && !result.isReplay)
        }
        #expect(runs == 2)
        store.outage = nil
        _ = try await dedup.run("charge", ["ada", "k1"]) { _ in "kept" }
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in "again" }.value == "kept")
        #expect(await fixture.names(4) == ["ranUnprotected", "ranUnprotected", "executed", "replayed"])
    }

    @Test("a full store rejects new keys and replays kept results")
    func full() async throws {
        let small = InMemoryStore(InMemoryStore.Configuration(maxEntries: 1), clock: fixture.clock)
        let dedup = fixture.dedup(.replay(retention: nil), store: small)
        _ = try await dedup.run("charge", ["ada", "k1"]) { _ in "first" }
        let error = await #expect(throws: DedupError.self) { try await dedup.run("charge", ["ada", "k2"]) { _ in } }
        #expect(error?.reason == .storeUnavailable)
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in "again" }.value == "first")
    }

    @Test("a claim of unknown outcome is resolved, and one call runs", arguments: [true, false])
    func unknownClaim(applied: Bool) async throws {
        store.failNext(.commit, with: applied ? .unknownOutcomeAfterApply : .reject(.unknownOutcome))
        let dedup = fixture.dedup(store: store)
        let result = try await dedup.run("charge", ["ada", "k1"]) { _ in "first" }
        #expect(result.isStored && !result.isReplay)
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in "second" }.value == "first")
    }

    @Test("a claim of unknown outcome is rejected if another call holds the key")
    func unknownClaimLost() async throws {
        let dedup = fixture.dedup(store: store)
        let gate = TaskGate()
        let other = Task { try await fixture.dedup().run("charge", ["ada", "k1"]) { _ in await gate.pass() } }
        await gate.waitForArrivals(1)
        store.failNext(.commit, with: .reject(.unknownOutcome))
        let error = await #expect(throws: DedupError.self) { try await dedup.run("charge", ["ada", "k1"]) { _ in } }
        #expect(error?.code == "dedup.in_progress")
        gate.open()
        _ = try await other.value
    }

    @Test("a claim that stays unknown is rejected and released")
    func unknownClaimAbandoned() async throws {
        for _ in 1...8 { store.failNext(.commit, with: .unknownOutcomeAfterApply) }
        // The first call makes the claim. The later faults hide the conflicts that would show this.
        let dedup = fixture.dedup(store: store)
        let error = await #expect(throws: DedupError.self) { try await dedup.run("charge", ["ada", "k1"]) { _ in } }
        #expect(error?.reason == .storeUnavailable)
        #expect(try await fixture.entry(["ada", "k1"]) == nil)
    }

    @Test("a result that cannot be stored is returned and reported", arguments: [StoreError.Reason.failed, .closed])
    func completionFails(reason: StoreError.Reason) async throws {
        store.failNext(.commit, with: nil, .reject(reason))
        let dedup = fixture.dedup(store: store)
        let result = try await dedup.run("charge", ["ada", "k1"]) { _ in "charged" }
        #expect(result.value == "charged")
        #expect(!result.isStored)
        #expect(await fixture.names(1) == ["notStored"])
        // Until its lease ends, the key stays claimed.
        let error = await #expect(throws: DedupError.self) {
            try await fixture.dedup().run("charge", ["ada", "k1"]) { _ in }
        }
        #expect(error?.code == "dedup.in_progress")
    }

    @Test("the write of a result is retried after a failure or an unknown outcome", arguments: [true, false])
    func completionRetries(applied: Bool) async throws {
        store.failNext(.commit, with: nil, applied ? .unknownOutcomeAfterApply : .reject(.unavailable))
        let dedup = fixture.dedup(store: store)
        let first = Task { try await dedup.run("charge", ["ada", "k1"]) { _ in "first" } }
        // The wait before the next attempt, and the end of the caller's maxWait.
        await fixture.clock.waitForSleepers(2)
        await fixture.clock.advanceToNextSleeper()
        #expect(try await first.value.isStored)
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in "second" }.value == "first")
        #expect(await fixture.names(2) == ["executed", "replayed"])
    }

    @Test("a claim that cannot be released ends with its lease")
    func releaseFails() async throws {
        store.failNext(.commit, with: nil, .reject(.failed))
        let dedup = fixture.dedup(store: store)
        await #expect(throws: TestError.self) {
            try await dedup.run("charge", ["ada", "k1"]) { _ in throw TestError() }
        }
        #expect(await fixture.names(1) == ["notReleased"])
        await #expect(throws: DedupError.self) { try await fixture.dedup().run("charge", ["ada", "k1"]) { _ in } }
        fixture.clock.advance(by: .seconds(30) + resolution)
        #expect(try await fixture.dedup().run("charge", ["ada", "k1"]) { _ in }.isStored)
    }

    @Test("a failed renewal is retried before the lease ends")
    func renewalFails() async throws {
        let store = StoreDouble(fixture.memory, isShared: true)
        store.failNext(.commit, with: nil, .reject(.unavailable))
        let dedup = fixture.dedup(lease: .seconds(30), store: store)
        let clock = fixture.clock
        let result = try await dedup.run("charge", ["ada", "k1"]) { _ in
            for _ in 1...6 {
                await clock.waitForSleepers(1)
                clock.advance(by: .seconds(10))
            }
            await clock.waitForSleepers(1)
            let error = await #expect(throws: DedupError.self) {
                try await dedup.run("charge", ["ada", "k1"]) { _ in }
            }
            #expect(error?.code == "dedup.in_progress")
            return "held"
        }
        #expect(result.isStored)
    }

    @Test("a hanging store costs its timeouts, and then the failure mode decides", arguments: [true, false])
    func hangs(isOpen: Bool) async throws {
        let stalling = StoreDouble(fixture.memory, canStall: true)
        stalling.outage = .hang
        let dedup = fixture.dedup(
            storeFailure: isOpen ? .failOpen(timeout: .seconds(2)) : .failClosed(timeout: .seconds(2)),
            store: stalling
        )
        let call = Task { try await dedup.run("charge", ["ada", "k1"]) { _ in "ran" } }
        // After three timeouts the store is not called again.
        for _ in 1...3 {
            await fixture.clock.waitForSleepers(1)
            #expect(fixture.clock.timeToNextSleeper == .seconds(2))
            fixture.clock.advance(by: .seconds(2))
        }
        let result = await call.result
        if isOpen {
            #expect(try result.get().value == "ran")
        } else {
            let error = #expect(throws: DedupError.self) { try result.get() }
            #expect(error?.reason == .storeUnavailable)
        }
        // A claim that may have been written is released when the store recovers.
        #expect(fixture.clock.sleeperCount <= 1)
    }

    @Test("a local fallback is rejected")
    func localFallback() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Deduplicator(
                .reject(),
                keyspace: "payments",
                store: InMemoryStore(),
                storeFailure: .localFallback(share: 0.5)
            )
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("storeFailure of the deduplicator of payments must be failOpen or failClosed"))
        #expect(text.contains("(is localFallback(share: 0.5))"))
    }
}
