import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import Dedup

struct Flaky: Error, Equatable {}

/// A store counts in whole milliseconds and rounds up: what ends, ends at most this much later.
let resolution = Duration.milliseconds(1)

/// What the tests share: a clock, a store on it, and the events.
struct Bench {
    let clock = ManualClock()
    let memory: InMemoryStore
    let events = EventRecorder<DedupEvent>()

    init() { memory = InMemoryStore(clock: clock) }

    func dedup(
        _ mode: DedupMode = .replay(retention: .seconds(3600)),
        lease: Duration = .seconds(30),
        storeFailure: StoreFailurePolicy = .closed(),
        keyspace: Keyspace = "test",
        store: (any KeyValueStore)? = nil,
        process: LiveClaims = .ofThisProcess
    ) -> Deduplicator {
        Deduplicator(
            DedupConfiguration(mode, lease: lease, storeFailure: storeFailure),
            keyspace: keyspace,
            store: store ?? memory,
            clock: clock,
            liveClaims: process,
            observer: events.record
        )
    }

    func entry(_ key: DedupKey) async throws -> StoreEntry? {
        try await memory.get(key.storeKey(in: "test", "charge"))
    }

    /// Leaves the claim of a process that died.
    func leaveClaim(_ key: DedupKey, lease: Duration = .seconds(30), memory days: UInt64 = 30) async throws {
        let record = DedupRecord(state: .inProgress, id: .random(), memory: days * 86_400_000, digest: nil)
        let expiry = Expiry.after(lease + .milliseconds(record.memory))
        _ = try await memory.commit([.put(key.storeKey(in: "test", "charge"), record.bytes, expiry, if: .absent)])
    }

    /// The names of at least `count` events.
    func names(_ count: Int) async -> [String] {
        await events.wait(for: count).map { event in
            switch event {
            case .executed: "executed"
            case .replayed: "replayed"
            case .refused(_, let error): "refused \(error.code)"
            case .tookOver: "tookOver"
            case .released: "released"
            case .ranUnprotected: "ranUnprotected"
            case .lostOwnership: "lostOwnership"
            case .resultNotKept: "resultNotKept"
            case .notStored: "notStored"
            case .notReleased: "notReleased"
            case .missed(let count): "missed \(count)"
            }
        }
    }
}

@Suite("Deduplicator")
struct DeduplicatorTests {
    let bench = Bench()

    @Test("the first call runs, and a duplicate gets its result without running")
    func replays() async throws {
        let dedup = bench.dedup()
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
        #expect(await bench.names(3) == ["executed", "replayed", "replayed"])
    }

    @Test("I13: empty results are results", arguments: [[], [0], [0, 0]] as [[UInt8]])
    func emptyResults(bytes: [UInt8]) async throws {
        let dedup = bench.dedup()
        _ = try await dedup.run("charge", ["ada", "k1"]) { _ in bytes }
        let replay = try await dedup.run("charge", ["ada", "k1"]) { _ in [UInt8](repeating: 9, count: 9) }
        #expect(replay.value == bytes)
        #expect(replay.isReplay)
    }

    @Test("an operation without a result runs once")
    func withoutResult() async throws {
        let dedup = bench.dedup()
        var runs = 0
        for _ in 1...3 { try await dedup.run("charge", ["event-1"]) { _ in runs += 1 } }
        #expect(runs == 1)
    }

    @Test("I17: a result is replayed until exactly its retention has passed")
    func retentionBoundary() async throws {
        let dedup = bench.dedup(.replay(retention: .seconds(60)))
        let runs = Counter()
        func call() async throws -> Bool {
            try await dedup.run("charge", ["ada", "k1"]) { _ in
                runs.increment()
                return ""
            }.isReplay
        }
        _ = try await call()
        bench.clock.advance(by: .milliseconds(59_999))
        #expect(try await call())
        bench.clock.advance(by: .milliseconds(1) + resolution)
        #expect(try await call() == false)
        #expect(runs.value == 2)
    }

    @Test("a result without an end is replayed a century later")
    func replaysForEver() async throws {
        let dedup = bench.dedup(.replay(retention: nil))
        _ = try await dedup.run("charge", ["ada", "k1"]) { _ in "first" }
        bench.clock.advance(by: .seconds(100 * 365 * 86_400))
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in "second" }.value == "first")
    }

    @Test("a refusing deduplicator names the rest of its window, and lets the next call through at its end")
    func refuses() async throws {
        let dedup = bench.dedup(.refuse())
        try await dedup.run("charge", ["ada", "send"]) { _ in }
        bench.clock.advance(by: .seconds(59))
        let error = await #expect(throws: DedupError.self) { try await dedup.run("charge", ["ada", "send"]) { _ in } }
        guard case .duplicate(let remaining?) = error?.reason else {
            Issue.record("not refused as a duplicate")
            return
        }
        #expect(remaining >= .seconds(1) && remaining <= .seconds(1) + resolution)
        #expect(error?.retryAfter == remaining)
        #expect(error?.category == .conflict)
        #expect(error?.isRejection == true)
        bench.clock.advance(by: remaining)
        #expect(try await dedup.run("charge", ["ada", "send"]) { _ in }.isReplay == false)
    }

    @Test("a duplicate of a running call is told so, not that it was done", arguments: [true, false])
    func inProgress(replays: Bool) async throws {
        let dedup = bench.dedup(replays ? .replay(retention: nil) : .refuse())
        let gate = Gate()
        let first = Task { try await dedup.run("charge", ["ada", "k1"]) { _ in await gate.pass() } }
        await gate.waitForArrivals(1)
        let error = await #expect(throws: DedupError.self) { try await dedup.run("charge", ["ada", "k1"]) { _ in } }
        #expect(error?.reason == .inProgress(retryAfter: .seconds(1)))
        #expect(error?.category == .conflict)
        gate.open()
        #expect(try await first.value.isReplay == false)
    }

    @Test(
        "I15: another request under the same key is refused, running or done, in both modes",
        arguments: [true, false]
    )
    func mismatch(replays: Bool) async throws {
        let dedup = bench.dedup(replays ? .replay(retention: nil) : .refuse())
        let gate = Gate()
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

    @Test("what an operation throws is thrown as it is, and the next call runs")
    func failureReleases() async throws {
        let dedup = bench.dedup()
        await #expect(throws: Flaky.self) { try await dedup.run("charge", ["ada", "k1"]) { _ in throw Flaky() } }
        #expect(try await bench.entry(["ada", "k1"]) == nil)
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in "second" }.value == "second")
        #expect(await bench.names(2) == ["released", "executed"])
    }

    @Test("I11: a result that is not final is returned and not kept")
    func transientResult() async throws {
        let dedup = bench.dedup()
        let pending = try await dedup.run("charge", ["ada", "k1"], isFinal: { $0 != "pending" }) { _ in "pending" }
        #expect(pending.value == "pending")
        #expect(!pending.isStored && !pending.isReplay)
        #expect(try await bench.entry(["ada", "k1"]) == nil)
        #expect(try await dedup.run("charge", ["ada", "k1"], isFinal: { $0 != "pending" }) { _ in "paid" }.isStored)
    }

    @Test("I1: of many equal calls at once exactly one runs", arguments: [20, 200])
    func concurrent(count: Int) async throws {
        let dedup = bench.dedup()
        let gate = Gate()
        let runs = Counter()
        let outcomes = await withTaskGroup { group in
            for number in 0..<count {
                group.addTask {
                    do {
                        return try await dedup.run("charge", ["ada", "k1"], fingerprint: [1]) { _ in
                            runs.increment()
                            // The first waits for some of the others, so that they find it running.
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

    @Test("I3: a call that lasts ten leases keeps its claim")
    func renewal() async throws {
        let store = StoreDouble(bench.memory, isShared: true)
        let dedup = bench.dedup(lease: .seconds(30), store: store)
        let gate = Gate()
        let first = Task {
            try await dedup.run("charge", ["ada", "k1"]) { _ in
                await gate.pass()
                return "first"
            }
        }
        await gate.waitForArrivals(1)
        for _ in 0..<30 {
            await bench.clock.waitForSleepers(1)
            bench.clock.advance(by: .seconds(10))
        }
        await bench.clock.waitForSleepers(1)
        let error = await #expect(throws: DedupError.self) {
            try await dedup.run("charge", ["ada", "k1"]) { _ in "second" }
        }
        #expect(error?.code == "dedup.in_progress")
        gate.open()
        #expect(try await first.value.isStored)
        #expect(bench.clock.sleeperCount == 0)
    }

    @Test("I2: an owner that stood still past its lease changes nothing of its successor's", arguments: [true, false])
    func fencing(succeeds: Bool) async throws {
        let store = StoreDouble(bench.memory, isShared: true)
        let dedup = bench.dedup(lease: .seconds(30), store: store)
        let other = bench.dedup(lease: .seconds(30), store: store, process: LiveClaims())
        let (gate, second) = (Gate(), Gate())
        let tokens = EventRecorder<StoreVersion?>()
        let late = Task {
            try await dedup.run("charge", ["ada", "k1"]) { claim in
                tokens.record(claim.token)
                await gate.pass()
                if !succeeds { throw Flaky() }
                return "late"
            }
        }
        await gate.waitForArrivals(1)
        // The process stands still: its renewals fail.
        store.failAlways(.before(.unavailable))
        bench.clock.advance(by: .seconds(30) + resolution)
        await bench.clock.waitForSleepers(1)
        store.failAlways(nil)
        let successor = Task {
            try await other.run("charge", ["ada", "k1"]) { claim in
                tokens.record(claim.token)
                await second.pass()
                return "successor"
            }
        }
        await second.waitForArrivals(1)
        let before = try await bench.entry(["ada", "k1"])
        gate.open()
        let result = await late.result
        if succeeds {
            #expect(try result.get().value == "late")
            #expect(try result.get().isStored == false)
        } else {
            #expect(throws: Flaky.self) { try result.get() }
        }
        #expect(try await bench.entry(["ada", "k1"]) == before)
        second.open()
        #expect(try await successor.value.isStored)
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in "third" }.value == "successor")
        let seen = tokens.events.compactMap { $0 }
        #expect(seen.count == 2 && seen[0] < seen[1])
        #expect(await bench.names(4) == ["tookOver", "lostOwnership", "executed", "replayed"])
    }

    @Test("a late result is kept when nobody has claimed the key since")
    func lateWithoutSuccessor() async throws {
        let store = StoreDouble(bench.memory, isShared: true)
        let dedup = bench.dedup(lease: .seconds(30), store: store)
        let clock = bench.clock
        let result = try await dedup.run("charge", ["ada", "k1"]) { _ in
            store.failAlways(.before(.unavailable))
            clock.advance(by: .seconds(31))
            await clock.waitForSleepers(1)
            store.failAlways(nil)
            return "late"
        }
        #expect(result.isStored)
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in "again" }.value == "late")
    }

    @Test("I4: a claim whose owner is gone blocks its key for the lease, not for the retention")
    func abandonedClaim() async throws {
        try await bench.leaveClaim(["ada", "k1"])
        let dedup = bench.dedup(.replay(retention: nil), store: StoreDouble(bench.memory, isShared: true))
        bench.clock.advance(by: .milliseconds(29_999))
        await #expect(throws: DedupError.self) { try await dedup.run("charge", ["ada", "k1"]) { _ in "early" } }
        bench.clock.advance(by: .milliseconds(1) + resolution)
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in "next" }.value == "next")
    }

    @Test("a claim from before the store was opened is taken over at once, under a larger token")
    func takeover() async throws {
        let gate = Gate()
        let before = bench.dedup(process: LiveClaims())
        let dead = Task {
            try await before.run("charge", ["ada", "k1"]) { _ in
                await gate.pass()
                return "dead"
            }
        }
        await gate.waitForArrivals(1)
        let version = try #require(try await bench.entry(["ada", "k1"])?.version)
        let reopened = StoreDouble(bench.memory, openedAt: StoreVersion(rawValue: version.rawValue + 1))
        let after = bench.dedup(store: reopened)
        let result = try await after.run("charge", ["ada", "k1"]) { claim in
            #expect(claim.isTakeover)
            let token = try #require(claim.token)
            #expect(token > version)
            // The new claim is no leftover.
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
        #expect(await bench.names(4).contains("tookOver"))
    }

    @Test("of many calls that find a leftover claim, one takes it over")
    func concurrentTakeover() async throws {
        try await bench.leaveClaim(["ada", "k1"])
        let dedup = bench.dedup(store: StoreDouble(bench.memory, openedAt: StoreVersion(rawValue: 2)))
        let runs = Counter()
        await withTaskGroup { group in
            for _ in 0..<50 {
                group.addTask { _ = try? await dedup.run("charge", ["ada", "k1"]) { _ in runs.increment() } }
            }
        }
        #expect(runs.value == 1)
    }

    @Test("the fence lets a commit through while the claim is held, and not after")
    func fence() async throws {
        let dedup = bench.dedup()
        let order = StoreKey("orders", "1")
        var fence: StoreWrite?
        _ = try await dedup.run("charge", ["ada", "k1"]) { claim in
            fence = claim.fence
            let fence = try #require(claim.fence)
            let result = try await bench.memory.commit([fence, .put(order, [1], .never, if: .absent)])
            guard case .committed = result else { throw Flaky() }
            return ""
        }
        let late = try await bench.memory.commit([try #require(fence), .put(order, [2], .never, if: .any)])
        guard case .conflict(index: 0, _) = late else {
            Issue.record("a stale fence let a commit through")
            return
        }
        #expect(try await bench.memory.get(order)?.value == [1])
    }

    @Test("I19: keys that only look alike never meet")
    func scope() async throws {
        let dedup = bench.dedup()
        let keys: [DedupKey] = [
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

    @Test("two keyspaces of one store never meet")
    func keyspaces() async throws {
        for keyspace in ["charges", "refunds"] as [Keyspace] {
            let result = try await bench.dedup(keyspace: keyspace).run("charge", ["ada", "k1"]) { _ in
                keyspace.description
            }
            #expect(result.value == keyspace.description)
        }
    }

    @Test(
        "I18: requests that name nothing are refused, not taken for one another",
        arguments: [
            [], [""], ["ada", ""], ["", "k1"],
        ] as [DedupKey]
    )
    func incompleteKey(key: DedupKey) async {
        let error = await #expect(throws: DedupError.self) { try await bench.dedup().run("charge", key) { _ in } }
        #expect(error?.reason == .incompleteKey)
        #expect(error?.category == .invalid)
    }

    @Test("I14: a result that is too large for the store is returned, and the operation does not run again")
    func largeResult() async throws {
        let dedup = bench.dedup(store: StoreDouble(bench.memory, maximumValueBytes: 100))
        let first = try await dedup.run("charge", ["ada", "k1"]) { _ in [UInt8](repeating: 1, count: 100) }
        #expect(first.value.count == 100)
        let error = await #expect(throws: DedupError.self) {
            try await dedup.run("charge", ["ada", "k1"]) { _ in [1] }
        }
        #expect(error?.code == "dedup.result_not_kept")
        #expect(await bench.names(2) == ["resultNotKept", "refused dedup.result_not_kept"])
    }

    @Test(
        "what cannot be read is no licence to run again",
        arguments: [
            [], [1], [UInt8](repeating: 0, count: 60), [2, 4, 0] + [UInt8](repeating: 0, count: 24),
            [2, 2, 1] + [UInt8](repeating: 0, count: 55), [1, 1, 0] + [UInt8](repeating: 0, count: 24),
        ] as [[UInt8]]
    )
    func unreadableRecord(bytes: [UInt8]) async throws {
        let key = DedupKey("ada", "k1").storeKey(in: "test", "charge")
        _ = try await bench.memory.commit([.put(key, bytes, .never, if: .any)])
        let error = await #expect(throws: DedupError.self) {
            try await bench.dedup().run("charge", ["ada", "k1"]) { _ in }
        }
        #expect(error?.reason == .unreadable)
    }

    private struct Number: DedupValue, Equatable {
        let value: UInt8
        init(_ value: UInt8) { self.value = value }
        init(dedupBytes: [UInt8]) throws {
            guard dedupBytes.count == 1 else { throw Flaky() }
            value = dedupBytes[0]
        }
        var dedupBytes: [UInt8] { [value] }
    }

    @Test("a type of one's own is replayed; bytes that do not make one are refused with the cause")
    func ownType() async throws {
        let dedup = bench.dedup()
        _ = try await dedup.run("charge", ["ada", "k1"]) { _ in Number(7) }
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in Number(8) }.value == Number(7))
        _ = try await dedup.run("charge", ["ada", "k2"]) { _ in "two bytes or more" }
        let error = await #expect(throws: DedupError.self) {
            try await dedup.run("charge", ["ada", "k2"]) { _ in Number(8) }
        }
        #expect(error?.reason == .unreadable)
        #expect(error?.underlyingError is Flaky)
    }

    @Test("a lease that is not positive is refused at construction, with the value in the message")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) { _ = DedupConfiguration(.refuse(), lease: .zero) }
    }
}

@Suite("Deduplicator keeps the caller's isolation")
struct DeduplicatorIsolationTests {
    actor Account {
        var balance = 0
        func deposit(_ dedup: Deduplicator, _ amount: Int) async throws -> Int {
            try await dedup.run("charge", ["ada", "k1"]) { _ in
                self.preconditionIsolated()
                balance += amount
            }
            return balance
        }
    }

    @Test("an actor's state is changed in place, once")
    func actorIsolated() async throws {
        let dedup = Deduplicator(.refuse(), keyspace: "test", store: InMemoryStore())
        let account = Account()
        #expect(try await account.deposit(dedup, 5) == 5)
        await #expect(throws: DedupError.self) { try await account.deposit(dedup, 5) }
        #expect(await account.balance == 5)
    }

    @Test("the main actor stays the main actor")
    @MainActor
    func mainActor() async throws {
        let dedup = Deduplicator(.replay(retention: nil), keyspace: "test", store: InMemoryStore())
        let result = try await dedup.run("charge", ["ada", "k1"]) { _ in
            MainActor.preconditionIsolated()
            return "main"
        }
        #expect(result.value == "main")
    }
}
