import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@testable import Dedup

@Suite("Deduplicator")
struct DeduplicatorTests {
    let fixture = DedupFixture()

    @Test("a duplicate gets the first call's result without running")
    func replays() async throws {
        let dedup = fixture.dedup()
        var runs = 0
        for round in 1...3 {
            let result = try await dedup.run("charge", ["ada", "k1"]) { _ in
                runs += 1
                return "receipt \(runs)"
            }
            #expect(result.value == "receipt 1")
            #expect(result.isReplay == (round > 1))
            #expect(result.isStored)
        }
        #expect(runs == 1)
        #expect(await fixture.names(3) == ["executed", "replayed", "replayed"])
    }

    @Test("an empty result is replayed", arguments: [[], [0], [0, 0]] as [[UInt8]])
    func emptyResults(bytes: [UInt8]) async throws {
        let dedup = fixture.dedup()
        _ = try await dedup.run("charge", ["ada", "k1"]) { _ in bytes }
        let replay = try await dedup.run("charge", ["ada", "k1"]) { _ in [UInt8](repeating: 9, count: 9) }
        #expect(replay.value == bytes)
        #expect(replay.isReplay)
    }

    @Test("an operation without a result runs once")
    func withoutResult() async throws {
        let dedup = fixture.dedup()
        var runs = 0
        for _ in 1...3 { try await dedup.run("charge", ["event-1"]) { _ in runs += 1 } }
        #expect(runs == 1)
    }

    @Test("a result is replayed until exactly the end of its retention")
    func retentionBoundary() async throws {
        let dedup = fixture.dedup(.replay(retention: .seconds(60)))
        let runs = ConcurrencyCounter()
        func call() async throws -> Bool {
            try await dedup.run("charge", ["ada", "k1"]) { _ in
                runs.increment()
                return ""
            }.isReplay
        }
        _ = try await call()
        fixture.clock.advance(by: .milliseconds(59_999))
        #expect(try await call())
        fixture.clock.advance(by: .milliseconds(1) + resolution)
        #expect(try await call() == false)
        #expect(runs.value == 2)
    }

    @Test("a result without a retention is replayed forever")
    func replaysForever() async throws {
        let dedup = fixture.dedup(.replay(retention: nil))
        _ = try await dedup.run("charge", ["ada", "k1"]) { _ in "first" }
        fixture.clock.advance(by: .seconds(100 * 365 * 86_400))
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in "second" }.value == "first")
    }

    @Test("a rejecting deduplicator reports the rest of its window and accepts the next call after it")
    func rejects() async throws {
        let dedup = fixture.dedup(.reject())
        try await dedup.run("charge", ["ada", "send"]) { _ in }
        fixture.clock.advance(by: .seconds(59))
        let error = await #expect(throws: DedupError.self) { try await dedup.run("charge", ["ada", "send"]) { _ in } }
        guard case .duplicate(let remaining?) = error?.reason else {
            Issue.record("not rejected as a duplicate")
            return
        }
        #expect(remaining >= .seconds(1) && remaining <= .seconds(1) + resolution)
        #expect(error?.retryAfter == remaining)
        #expect(error?.category == .conflict)
        #expect(error?.isRejection == true)
        fixture.clock.advance(by: remaining)
        #expect(try await dedup.run("charge", ["ada", "send"]) { _ in }.isReplay == false)
    }

    @Test("a duplicate of a running call is rejected as in progress", arguments: [true, false])
    func inProgress(replays: Bool) async throws {
        let dedup = fixture.dedup(replays ? .replay(retention: nil) : .reject())
        let gate = TaskGate()
        let first = Task { try await dedup.run("charge", ["ada", "k1"]) { _ in await gate.pass() } }
        await gate.waitForArrivals(1)
        let error = await #expect(throws: DedupError.self) { try await dedup.run("charge", ["ada", "k1"]) { _ in } }
        #expect(error?.reason == .inProgress(retryAfter: .seconds(1)))
        #expect(error?.category == .conflict)
        gate.open()
        #expect(try await first.value.isReplay == false)
    }

    @Test("another request under the same key is rejected", arguments: [true, false])
    func mismatch(replays: Bool) async throws {
        let dedup = fixture.dedup(replays ? .replay(retention: nil) : .reject())
        let gate = TaskGate()
        let first = Task {
            try await dedup.run("charge", ["ada", "k1"], fingerprint: [1]) { _ in await gate.pass() }
        }
        await gate.waitForArrivals(1)
        func expectMismatch() async {
            for body in [[], [2], [1, 1]] as [[UInt8]] {
                let error = await #expect(throws: DedupError.self) {
                    try await dedup.run("charge", ["ada", "k1"], fingerprint: body) { _ in }
                }
                #expect(error?.reason == .mismatch)
                #expect(error?.category == .unprocessable)
            }
        }
        await expectMismatch()
        gate.open()
        _ = try await first.value
        await expectMismatch()
    }

    @Test("an error is thrown unchanged and releases the claim")
    func failureReleases() async throws {
        let dedup = fixture.dedup()
        await #expect(throws: TestError.self) {
            try await dedup.run("charge", ["ada", "k1"]) { _ in throw TestError() }
        }
        #expect(try await fixture.entry(["ada", "k1"]) == nil)
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in "second" }.value == "second")
        #expect(await fixture.names(2) == ["released", "executed"])
    }

    @Test("a result that is not final is returned and not kept")
    func transientResult() async throws {
        let dedup = fixture.dedup()
        let pending = try await dedup.run("charge", ["ada", "k1"], isFinal: { $0 != "pending" }) { _ in "pending" }
        #expect(pending.value == "pending")
        #expect(!pending.isStored && !pending.isReplay)
        #expect(try await fixture.entry(["ada", "k1"]) == nil)
        #expect(try await dedup.run("charge", ["ada", "k1"], isFinal: { $0 != "pending" }) { _ in "paid" }.isStored)
    }

    @Test("exactly one of many concurrent duplicates runs", arguments: [20, 200])
    func concurrent(count: Int) async throws {
        let dedup = fixture.dedup()
        let gate = TaskGate()
        let runs = ConcurrencyCounter()
        let outcomes = await withTaskGroup { group in
            for number in 0..<count {
                group.addTask {
                    do {
                        return try await dedup.run("charge", ["ada", "k1"], fingerprint: [1]) { _ in
                            runs.increment()
                            // The first call waits for others, so they find it running.
                            if number % 2 == 0 { gate.open() }
                            await gate.pass()
                            return "\(number)"
                        }.value
                    } catch {
                        gate.open()
                        return (error as? DedupError)?.code.rawValue ?? "\(error)"
                    }
                }
            }
            return await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(runs.value == 1)
        #expect(outcomes.subtracting(["dedup.in_progress"]).count == 1)
    }

    @Test("a call that lasts ten leases keeps its claim")
    func renewal() async throws {
        let store = StoreDouble(fixture.memory, isShared: true)
        let dedup = fixture.dedup(lease: .seconds(30), store: store)
        let gate = TaskGate()
        let first = Task {
            try await dedup.run("charge", ["ada", "k1"]) { _ in
                await gate.pass()
                return "first"
            }
        }
        await gate.waitForArrivals(1)
        for _ in 0..<30 {
            await fixture.clock.waitForSleepers(1)
            fixture.clock.advance(by: .seconds(10))
        }
        await fixture.clock.waitForSleepers(1)
        let error = await #expect(throws: DedupError.self) {
            try await dedup.run("charge", ["ada", "k1"]) { _ in "second" }
        }
        #expect(error?.code == "dedup.in_progress")
        gate.open()
        #expect(try await first.value.isStored)
        #expect(fixture.clock.sleeperCount == 0)
    }

    @Test("an owner that stalls past its lease does not change its successor's record", arguments: [true, false])
    func fencing(succeeds: Bool) async throws {
        let store = StoreDouble(fixture.memory, isShared: true)
        let dedup = fixture.dedup(lease: .seconds(30), store: store)
        let other = fixture.dedup(lease: .seconds(30), store: store, process: LocalClaims())
        let (gate, second) = (TaskGate(), TaskGate())
        let tokens = EventRecorder<StoreVersion?>()
        let late = Task {
            try await dedup.run("charge", ["ada", "k1"]) { claim in
                tokens.record(claim.token)
                await gate.pass()
                if !succeeds { throw TestError() }
                return "late"
            }
        }
        await gate.waitForArrivals(1)
        // The renewals fail as in a stalled process.
        store.outage = .reject(.unavailable)
        fixture.clock.advance(by: .seconds(30) + resolution)
        await fixture.clock.waitForSleepers(1)
        store.outage = nil
        let successor = Task {
            try await other.run("charge", ["ada", "k1"]) { claim in
                tokens.record(claim.token)
                await second.pass()
                return "successor"
            }
        }
        await second.waitForArrivals(1)
        let before = try await fixture.entry(["ada", "k1"])
        gate.open()
        let result = await late.result
        if succeeds {
            #expect(try result.get().value == "late")
            #expect(try result.get().isStored == false)
        } else {
            #expect(throws: TestError.self) { try result.get() }
        }
        #expect(try await fixture.entry(["ada", "k1"]) == before)
        second.open()
        #expect(try await successor.value.isStored)
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in "third" }.value == "successor")
        let seen = tokens.events.compactMap { $0 }
        #expect(seen.count == 2 && seen[0] < seen[1])
        #expect(await fixture.names(4) == ["tookOver", "lostOwnership", "executed", "replayed"])
    }

    @Test("a late result is kept if no other call claimed the key")
    func lateWithoutSuccessor() async throws {
        let store = StoreDouble(fixture.memory, isShared: true)
        let dedup = fixture.dedup(lease: .seconds(30), store: store)
        let clock = fixture.clock
        let result = try await dedup.run("charge", ["ada", "k1"]) { _ in
            store.outage = .reject(.unavailable)
            clock.advance(by: .seconds(31))
            await clock.waitForSleepers(1)
            store.outage = nil
            return "late"
        }
        #expect(result.isStored)
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in "again" }.value == "late")
    }

    @Test("an abandoned claim blocks its key for the lease only")
    func abandonedClaim() async throws {
        try await fixture.leaveClaim(["ada", "k1"])
        let dedup = fixture.dedup(.replay(retention: nil), store: StoreDouble(fixture.memory, isShared: true))
        fixture.clock.advance(by: .milliseconds(29_999))
        await #expect(throws: DedupError.self) { try await dedup.run("charge", ["ada", "k1"]) { _ in "early" } }
        fixture.clock.advance(by: .milliseconds(1) + resolution)
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in "next" }.value == "next")
    }

    @Test("a claim from before the opening is taken over immediately with a larger token")
    func takeover() async throws {
        let gate = TaskGate()
        let before = fixture.dedup(process: LocalClaims())
        let dead = Task {
            try await before.run("charge", ["ada", "k1"]) { _ in
                await gate.pass()
                return "dead"
            }
        }
        await gate.waitForArrivals(1)
        let version = try #require(try await fixture.entry(["ada", "k1"])?.version)
        let reopened = StoreDouble(fixture.memory, openedAt: StoreVersion(rawValue: version.rawValue + 1))
        let after = fixture.dedup(store: reopened)
        let result = try await after.run("charge", ["ada", "k1"]) { claim in
            #expect(claim.isTakeover)
            let token = try #require(claim.token)
            #expect(token > version)
            // The new claim was not abandoned.
            let error = await #expect(throws: DedupError.self) {
                try await after.run("charge", ["ada", "k1"]) { _ in "third" }
            }
            #expect(error?.code == "dedup.in_progress")
            return "taken over"
        }
        #expect(result.isStored)
        gate.open()
        #expect(try await dead.value.isStored == false)
        #expect(try await after.run("charge", ["ada", "k1"]) { _ in "fourth" }.value == "taken over")
        #expect(await fixture.names(4).contains("tookOver"))
    }

    @Test("exactly one of many concurrent calls takes over an abandoned claim")
    func concurrentTakeover() async throws {
        try await fixture.leaveClaim(["ada", "k1"])
        let dedup = fixture.dedup(store: StoreDouble(fixture.memory, openedAt: StoreVersion(rawValue: 2)))
        let runs = ConcurrencyCounter()
        await withTaskGroup { group in
            for _ in 0..<50 {
                group.addTask { _ = try? await dedup.run("charge", ["ada", "k1"]) { _ in runs.increment() } }
            }
        }
        #expect(runs.value == 1)
    }

    @Test("the fence permits a commit only while the claim is held")
    func fence() async throws {
        let dedup = fixture.dedup()
        let order = StoreKey("orders", "1")
        var fence: StoreWrite?
        _ = try await dedup.run("charge", ["ada", "k1"]) { claim in
            fence = claim.fence
            let fence = try #require(claim.fence)
            let result = try await fixture.memory.commit([fence, .put(order, [1], .never, if: .absent)])
            guard case .committed = result else { throw TestError() }
            return ""
        }
        let late = try await fixture.memory.commit([try #require(fence), .put(order, [2], .never, if: .any)])
        guard case .conflict(index: 0, _) = late else {
            Issue.record("a stale fence let a commit through")
            return
        }
        #expect(try await fixture.memory.get(order)?.value == [1])
    }

    @Test("similar keys are different requests")
    func scope() async throws {
        let dedup = fixture.dedup()
        let keys: [CompositeKey] = [
            ["a", "bc"], ["ab", "c"], ["abc"], ["a", "b", "c"], ["a\u{0}bc"], ["a", "\u{2}bc"], ["a#b", "c"],
            ["a", "b#c"],
            ["\u{c5}"], ["A\u{30a}"], ["\u{212b}"], [String(repeating: "x", count: 100_000)],
            [String(repeating: "x", count: 100_001)], ["\n"], [" "], ["  "],
        ]
        for (number, key) in keys.enumerated() {
            let result = try await dedup.run("charge", key) { _ in "\(number)" }
            #expect(result.value == "\(number)")
            #expect(!result.isReplay)
        }
        #expect(Set(keys).count == keys.count)
    }

    @Test("two keyspaces of one store are separate")
    func keyspaces() async throws {
        for keyspace in ["charges", "refunds"] as [Keyspace] {
            let result = try await fixture.dedup(keyspace: keyspace).run("charge", ["ada", "k1"]) { _ in
                keyspace.description
            }
            #expect(result.value == keyspace.description)
        }
    }

    @Test("an incomplete key is rejected", arguments: [[], [""], ["ada", ""], ["", "k1"]] as [CompositeKey])
    func incompleteKey(key: CompositeKey) async {
        let error = await #expect(throws: DedupError.self) { try await fixture.dedup().run("charge", key) { _ in } }
        #expect(error?.reason == .incompleteKey)
        #expect(error?.category == .invalid)
    }

    @Test("a result too large for the store is returned, and the operation does not run again")
    func largeResult() async throws {
        let dedup = fixture.dedup(store: StoreDouble(fixture.memory, maxValueBytes: 100))
        let first = try await dedup.run("charge", ["ada", "k1"]) { _ in [UInt8](repeating: 1, count: 100) }
        #expect(first.value.count == 100)
        let error = await #expect(throws: DedupError.self) {
            try await dedup.run("charge", ["ada", "k1"]) { _ in [1] }
        }
        #expect(error?.code == "dedup.result_not_kept")
        #expect(await fixture.names(2) == ["resultNotKept", "rejected dedup.result_not_kept"])
    }

    @Test(
        "an unreadable record rejects the call",
        arguments: [
            [], [1], [UInt8](repeating: 0, count: 60), [2, 4, 0] + [UInt8](repeating: 0, count: 24),
            [2, 2, 1] + [UInt8](repeating: 0, count: 55), [1, 1, 0] + [UInt8](repeating: 0, count: 24),
        ] as [[UInt8]]
    )
    func unreadableRecord(bytes: [UInt8]) async throws {
        let key = CompositeKey("ada", "k1").storeKey(in: "test", "charge")
        _ = try await fixture.memory.commit([.put(key, bytes, .never, if: .any)])
        let error = await #expect(throws: DedupError.self) {
            try await fixture.dedup().run("charge", ["ada", "k1"]) { _ in }
        }
        #expect(error?.reason == .unreadable)
    }

    private struct Number: DedupValue, Equatable {
        let value: UInt8
        init(_ value: UInt8) { self.value = value }
        init(dedupBytes: [UInt8]) throws {
            guard dedupBytes.count == 1 else { throw TestError() }
            value = dedupBytes[0]
        }
        var dedupBytes: [UInt8] { [value] }
    }

    @Test("a custom result type is replayed, and unreadable bytes are rejected with the cause")
    func customType() async throws {
        let dedup = fixture.dedup()
        _ = try await dedup.run("charge", ["ada", "k1"]) { _ in Number(7) }
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in Number(8) }.value == Number(7))
        _ = try await dedup.run("charge", ["ada", "k2"]) { _ in "two bytes or more" }
        let error = await #expect(throws: DedupError.self) {
            try await dedup.run("charge", ["ada", "k2"]) { _ in Number(8) }
        }
        #expect(error?.reason == .unreadable)
        #expect(error?.underlyingError is TestError)
    }

    @Test("a lease of zero is invalid")
    func validation() async {
        #expect(
            problems(of: Deduplicator.Configuration(.reject(), lease: .zero).validate) == [
                "lease must be positive (is 0.0 seconds)"
            ]
        )
    }
}
