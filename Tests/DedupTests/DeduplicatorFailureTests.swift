import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import Dedup

@Suite("Deduplicator, when the store fails")
struct DeduplicatorStoreFailureTests {
    let bench = Bench()
    let store: StoreDouble

    init() { store = StoreDouble(bench.memory) }

    private static let outages: [StoreError.Reason] = [
        .unavailable, .unknownOutcome, .diskFull, .capacityExceeded, .failed, .closed,
        .corruption(file: "f", offset: 1),
    ]

    @Test("closed: nothing runs, the error says unavailable and never duplicate", arguments: outages)
    func closed(reason: StoreError.Reason) async throws {
        store.failAlways(.before(reason))
        let dedup = bench.dedup(store: store)
        var runs = 0
        for _ in 1...3 {
            let error = await #expect(throws: DedupError.self) {
                try await dedup.run(["ada", "k1"]) { _ in runs += 1 }
            }
            #expect(error?.reason == .storeUnavailable)
            #expect(error?.category == .unavailable)
            #expect((error?.underlyingError as? StoreError)?.reason == reason)
        }
        #expect(runs == 0)
        store.failAlways(nil)
        #expect(try await dedup.run(["ada", "k1"]) { _ in runs += 1 }.isStored)
        #expect(runs == 1)
    }

    @Test("open: it runs without protection and says so, and is protected again when the store is back")
    func open() async throws {
        store.failAlways(.before(.unavailable))
        let dedup = bench.dedup(storeFailure: .open(), store: store)
        var runs = 0
        for _ in 1...2 {
            let result = try await dedup.run(["ada", "k1"]) { claim in
                runs += 1
                #expect(claim.token == nil && claim.fence == nil)
                return "\(runs)"
            }
            #expect(!result.isStored && !result.isReplay)
        }
        #expect(runs == 2)
        store.failAlways(nil)
        _ = try await dedup.run(["ada", "k1"]) { _ in "kept" }
        #expect(try await dedup.run(["ada", "k1"]) { _ in "again" }.value == "kept")
        #expect(await bench.names(4) == ["ranUnprotected", "ranUnprotected", "executed", "replayed"])
    }

    @Test("a full store refuses new keys and still knows the old ones")
    func full() async throws {
        let small = InMemoryStore(maximumEntries: 1, clock: bench.clock)
        let dedup = bench.dedup(.replay(retention: nil), store: small)
        _ = try await dedup.run(["ada", "k1"]) { _ in "first" }
        let error = await #expect(throws: DedupError.self) { try await dedup.run(["ada", "k2"]) { _ in } }
        #expect(error?.reason == .storeUnavailable)
        #expect(try await dedup.run(["ada", "k1"]) { _ in "again" }.value == "first")
    }

    @Test("a claim whose outcome is unknown is found out about, and one call runs", arguments: [true, false])
    func unknownClaim(applied: Bool) async throws {
        store.fail(1, applied ? .after(.unknownOutcome) : .before(.unknownOutcome))
        let dedup = bench.dedup(store: store)
        let result = try await dedup.run(["ada", "k1"]) { _ in "first" }
        #expect(result.isStored && !result.isReplay)
        #expect(try await dedup.run(["ada", "k1"]) { _ in "second" }.value == "first")
    }

    @Test("a claim of unknown outcome that turns out another's is no claim")
    func unknownClaimLost() async throws {
        let dedup = bench.dedup(store: store)
        let gate = Gate()
        let other = Task { try await bench.dedup().run(["ada", "k1"]) { _ in await gate.pass() } }
        await gate.waitForArrivals(1)
        store.fail(1, .before(.unknownOutcome))
        let error = await #expect(throws: DedupError.self) { try await dedup.run(["ada", "k1"]) { _ in } }
        #expect(error?.code == "dedup.in_progress")
        gate.open()
        _ = try await other.value
    }

    @Test("a claim that stays unknown is refused and left behind by nobody")
    func unknownClaimGivenUp() async throws {
        for call in 1...8 { store.fail(call, .after(.unknownOutcome)) }
        // It is ours after the first call, which a conflict would show; so hide the conflict too.
        let dedup = bench.dedup(store: store)
        let error = await #expect(throws: DedupError.self) { try await dedup.run(["ada", "k1"]) { _ in } }
        #expect(error?.reason == .storeUnavailable)
        #expect(try await bench.entry(["ada", "k1"]) == nil)
    }

    @Test(
        "I10: when the store fails for good before it has the result, the caller still gets it, and an event says so",
        arguments: [StoreError.Reason.failed, .closed]
    )
    func completionFails(reason: StoreError.Reason) async throws {
        store.fail(2, .before(reason))
        let dedup = bench.dedup(store: store)
        let result = try await dedup.run(["ada", "k1"]) { _ in "charged" }
        #expect(result.value == "charged")
        #expect(!result.isStored)
        #expect(await bench.names(1) == ["notStored"])
        // Until its lease ends, the key stays claimed.
        let error = await #expect(throws: DedupError.self) { try await bench.dedup().run(["ada", "k1"]) { _ in } }
        #expect(error?.code == "dedup.in_progress")
    }

    @Test("a result whose writing fails for a moment, or has an unknown outcome, is kept", arguments: [true, false])
    func completionRetries(applied: Bool) async throws {
        store.fail(2, applied ? .after(.unknownOutcome) : .before(.unavailable))
        let dedup = bench.dedup(store: store)
        let first = Task { try await dedup.run(["ada", "k1"]) { _ in "first" } }
        // The wait before the next attempt, and the end of the caller's patience.
        await bench.clock.waitForSleepers(2)
        await bench.clock.advanceToNextSleeper()
        #expect(try await first.value.isStored)
        #expect(try await dedup.run(["ada", "k1"]) { _ in "second" }.value == "first")
        #expect(await bench.names(2) == ["executed", "replayed"])
    }

    @Test("a claim that cannot be given up ends with its lease")
    func releaseFails() async throws {
        store.fail(2, .before(.failed))
        let dedup = bench.dedup(store: store)
        await #expect(throws: Flaky.self) { try await dedup.run(["ada", "k1"]) { _ in throw Flaky() } }
        #expect(await bench.names(1) == ["notReleased"])
        await #expect(throws: DedupError.self) { try await bench.dedup().run(["ada", "k1"]) { _ in } }
        bench.clock.advance(by: .seconds(30) + resolution)
        #expect(try await bench.dedup().run(["ada", "k1"]) { _ in }.isStored)
    }

    @Test("a renewal that fails is tried again before the lease ends")
    func renewalFails() async throws {
        store.fail(2, .before(.unavailable))
        let dedup = bench.dedup(lease: .seconds(30), store: store)
        let clock = bench.clock
        let result = try await dedup.run(["ada", "k1"]) { _ in
            for _ in 1...6 {
                await clock.waitForSleepers(1)
                clock.advance(by: .seconds(10))
            }
            await clock.waitForSleepers(1)
            let error = await #expect(throws: DedupError.self) { try await dedup.run(["ada", "k1"]) { _ in } }
            #expect(error?.code == "dedup.in_progress")
            return "held"
        }
        #expect(result.isStored)
    }

    @Test("a store that hangs costs its time limit, then the policy decides", arguments: [true, false])
    func hangs(isOpen: Bool) async throws {
        let stalling = StoreDouble(bench.memory, canStall: true)
        stalling.failAlways(.hang)
        let dedup = bench.dedup(
            storeFailure: isOpen ? .open(timeLimit: .seconds(2)) : .closed(timeLimit: .seconds(2)),
            store: stalling
        )
        let call = Task { try await dedup.run(["ada", "k1"]) { _ in "ran" } }
        // The limits pass one after the other; then the store is left alone.
        for _ in 1...3 {
            await bench.clock.waitForSleepers(1)
            #expect(bench.clock.timeToNextSleeper == .seconds(2))
            bench.clock.advance(by: .seconds(2))
        }
        let result = await call.result
        if isOpen {
            #expect(try result.get().value == "ran")
        } else {
            let error = #expect(throws: DedupError.self) { try result.get() }
            #expect(error?.reason == .storeUnavailable)
        }
        #expect(bench.clock.sleeperCount == 0)
    }
}

@Suite("Deduplicator, when the caller goes away")
struct DeduplicatorCancellationTests {
    let bench = Bench()

    @Test(
        "a task that is cancelled before, or while, it claims runs nothing and leaves nothing",
        arguments: [
            StoreDouble.Fault.cancelBefore, .cancelAfter,
        ]
    )
    func cancelledAtTheClaim(fault: StoreDouble.Fault) async throws {
        let store = StoreDouble(bench.memory)
        store.fail(1, fault)
        let dedup = bench.dedup(store: store)
        let runs = Counter()
        let task = Task { try await dedup.run(["ada", "k1"]) { _ in runs.increment() } }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(runs.value == 0)
        #expect(try await bench.entry(["ada", "k1"]) == nil)
        #expect(try await dedup.run(["ada", "k1"]) { _ in "next" }.isStored)
    }

    @Test("a claim whose outcome is unknown when the task is cancelled is not left behind")
    func cancelledWhileUnknown() async throws {
        let store = StoreDouble(bench.memory)
        store.fail(1, .after(.unknownOutcome))
        store.fail(2, .cancelBefore)
        let dedup = bench.dedup(store: store)
        let task = Task { try await dedup.run(["ada", "k1"]) { _ in } }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await bench.entry(["ada", "k1"]) == nil)
    }

    @Test("an operation that is cancelled gives its claim up, cancelled or not", arguments: [true, false])
    func cancelledInTheOperation(isOpen: Bool) async throws {
        let dedup = bench.dedup(storeFailure: isOpen ? .open() : .closed())
        let gate = Gate()
        let task = Task {
            try await dedup.run(["ada", "k1"]) { _ in
                await gate.pass()
                try Task.checkCancellation()
                return ""
            }
        }
        await gate.waitForArrivals(1)
        task.cancel()
        gate.open()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await bench.entry(["ada", "k1"]) == nil)
        #expect(bench.clock.sleeperCount == 0)
    }

    @Test("an operation that succeeds although its caller is gone is kept: it happened")
    func succeedsAfterCancellation() async throws {
        let dedup = bench.dedup()
        let task = Task {
            try await dedup.run(["ada", "k1"]) { _ in
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                return "charged"
            }
        }
        #expect(try await task.value.isStored)
        #expect(try await dedup.run(["ada", "k1"]) { _ in "again" }.value == "charged")
    }

    @Test("a replay is given to one caller after another was cancelled")
    func othersAreUnaffected() async throws {
        let dedup = bench.dedup()
        _ = try await dedup.run(["ada", "k1"]) { _ in "first" }
        let before = try await bench.entry(["ada", "k1"])
        let task = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return try await dedup.run(["ada", "k1"]) { _ in "second" }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await bench.entry(["ada", "k1"]) == before)
    }
}
