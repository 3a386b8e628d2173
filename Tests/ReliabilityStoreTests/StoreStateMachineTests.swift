import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import ReliabilityStore

@Suite("StoreStateMachine")
struct StoreStateMachineTests {
    static func state(maxEntries: Int = 1000, maxBytes: Int = 1 << 20) -> StoreStateMachine {
        StoreStateMachine(
            capabilities: StoreCapabilities(durability: .none, openedAt: nil, canStall: false),
            limits: StoreLimits(maxEntries: maxEntries, maxBytes: maxBytes)
        )
    }

    /// Everything that can be read from a state.
    struct Reading: Equatable {
        var entries: [StoreKey]
        var values: [StoreEntry?]
        var records: [[RecordInfo]]
        var counts: [RecordCounts]
        var nextDue: [Duration?]
    }

    static let keys = (0..<6).map { StoreKey("test", "\($0)") }
    static let queues: [QueueName] = ["first", "second"]

    static func read(_ state: StoreStateMachine) throws -> Reading {
        Reading(
            entries: try state.scan(StoreKey("test"), after: nil, limit: 100).entries.map(\.key),
            values: try state.get(keys),
            records: try queues.flatMap {
                [
                    try state.page($0, .pending, after: nil, limit: 100).records,
                    try state.page($0, .deadLetter, after: nil, limit: 100).records,
                ]
            },
            counts: try queues.map { try state.counts($0) },
            nextDue: try queues.map { try state.nextDue($0) }
        )
    }

    /// Plans a random operation and returns its mutations.
    static func planRandomOperation(
        _ state: inout StoreStateMachine,
        _ tokens: inout [(queue: QueueName, id: String, token: StoreVersion)],
        _ random: inout SeededGenerator
    ) throws(StoreError) -> [StoreMutation] {
        let expiries: [Expiry] = [.never, .after(.milliseconds(20)), .after(.milliseconds(7)), .keep]
        let expiry = expiries.randomElement(using: &random) ?? .never
        let queue = queues.randomElement(using: &random) ?? "first"
        let record = NewRecord(
            queue: queue,
            id: "\(Int.random(in: 0..<6, using: &random))",
            payload: [UInt8](repeating: 1, count: Int.random(in: 0...9, using: &random)),
            delay: .milliseconds(Int.random(in: 0...10, using: &random))
        )
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1, 2:
            let chosen = keys.shuffled(using: &random).prefix(Int.random(in: 1...3, using: &random))
            var writes: [StoreWrite] = []
            for key in chosen {
                switch Int.random(in: 0..<4, using: &random) {
                case 0: writes.append(.delete(key, if: .any))
                case 1: writes.append(.touch(key, expiry, if: .any))
                default:
                    let value = [UInt8](repeating: 2, count: Int.random(in: 0...9, using: &random))
                    writes.append(.put(key, value, expiry, if: .any))
                }
            }
            let isWithRecord = Bool.random(using: &random)
            return try state.planCommit(writes, enqueueing: isWithRecord ? [record] : []).mutations
        case 3:
            let update = AtomicUpdate.fixedWindow(length: .milliseconds(15), limit: 3, cost: 1)
            return try state.planUpdate([(key: keys.randomElement(using: &random) ?? keys[0], update: update)])
                .mutations
        case 4: return try state.planEnqueue([record]).mutations
        case 5, 6:
            let lease = Duration.milliseconds(Int.random(in: 1...9, using: &random))
            let plan = try state.planClaim(queue, limit: Int.random(in: 1...3, using: &random), lease: lease)
            for claim in plan.result { tokens.append((queue, claim.id, claim.token)) }
            return plan.mutations
        default:
            guard let (queue, id, token) = tokens.suffix(6).randomElement(using: &random) else { return [] }
            let actions: [Settlement.Action] = [
                .done, .deadLetter(reason: "broken"), .redrive, .extend(.milliseconds(5)),
                .retry(after: .milliseconds(3), countsAttempt: false),
            ]
            let action = actions.randomElement(using: &random) ?? .done
            return try state.planSettle([Settlement(queue: queue, id: id, token: token, action)]).mutations
        }
    }

    @Test(
        "plans change nothing, mutations are idempotent, and a snapshot rebuilds the state",
        arguments: 0..<10 as Range<UInt64>
    )
    func plansAndSnapshots(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var state = Self.state()
        var tokens: [(queue: QueueName, id: String, token: StoreVersion)] = []
        var now: Int64 = 1_700_000_000_000_000_000
        for step in 0..<300 {
            now += Int64.random(in: 0...4_000_000, using: &random)
            state.advance(to: now)
            let before = try Self.read(state)
            let mutations = try Self.planRandomOperation(&state, &tokens, &random)
            #expect(try Self.read(state) == before, "seed \(seed), step \(step): a plan was seen")
            // A durable store may reject the plan here, and then applies nothing.
            let lastVersion = state.nextVersion
            state.apply(mutations)
            let once = try Self.read(state)
            #expect(state.nextVersion >= lastVersion)
            state.apply(mutations)
            #expect(try Self.read(state) == once, "seed \(seed), step \(step): applied twice")

            var rebuilt = Self.state()
            rebuilt.advance(to: now)
            rebuilt.apply(state.snapshot())
            #expect(try Self.read(rebuilt) == once, "seed \(seed), step \(step): rebuilt from a snapshot")
        }
    }

    @Test("a write is rejected exactly if the live entries leave no room", arguments: 0..<10 as Range<UInt64>)
    func capacity(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var state = Self.state(maxEntries: 40)
        let keys = (0..<80).map { StoreKey("test", "\($0)") }
        // The live entries: each key and its end.
        var model: [(key: StoreKey, end: Int64)] = []
        var now: Int64 = 1_700_000_000_000_000_000
        var rejections = 0
        for step in 0..<400 {
            now += Int64.random(in: 0...9, using: &random) * 1_000_000
            state.advance(to: now)
            model.removeAll { $0.end <= now }
            let chosen = keys.shuffled(using: &random).prefix(Int.random(in: 1...3, using: &random))
            var writes: [StoreWrite] = []
            var after = model
            for key in chosen {
                after.removeAll { $0.key == key }
                if Int.random(in: 0..<6, using: &random) == 0 {
                    writes.append(.delete(key, if: .any))
                } else {
                    let life = Int64.random(in: 1...500, using: &random)
                    writes.append(.put(key, [1], .after(.milliseconds(life)), if: .any))
                    after.append((key, now + life * 1_000_000))
                }
            }
            let hasRoom = after.count <= 40
            do {
                let plan = try state.planCommit(writes)
                #expect(hasRoom, "seed \(seed), step \(step): \(after.count) entries were accepted")
                state.apply(plan.mutations)
                model = after
            } catch {
                rejections += 1
                #expect(error.reason == .capacityExceeded)
                #expect(!hasRoom, "seed \(seed), step \(step): \(after.count) entries were rejected")
            }
            let live = Set(try state.scan(StoreKey("test"), after: nil, limit: 1000).entries.map(\.key))
            #expect(live == Set(model.map(\.key)), "seed \(seed), step \(step)")
        }
        #expect(rejections > 10)
    }

    @Test("keys, values, payloads and overhead count as bytes until they are freed")
    func bytes() throws {
        var state = Self.state(maxBytes: 1000)
        let key = StoreKey("test", "1")
        let room = 1000 - key.byteCount - 64
        func put(_ count: Int) throws(StoreError) {
            let value = [UInt8](repeating: 0, count: count)
            state.apply(try state.planCommit([.put(key, value, .never, if: .any)]).mutations)
        }
        for _ in 0..<3 {
            try put(room)
            #expect(throws: StoreError.self) { try put(room + 1) }
            try put(10)
            let record = NewRecord(queue: "q", id: "1", payload: [UInt8](repeating: 0, count: room - 10 - 66))
            state.apply(try state.planEnqueue([record]).mutations)
            #expect(throws: StoreError.self) { try put(11) }
            // A write that needs no more room than before is never rejected.
            try put(10)
            try put(3)
            let claims = try state.planClaim("q", limit: 1, lease: .seconds(1))
            state.apply(claims.mutations)
            state.apply(try state.planSettle(claims.result.map { Settlement($0, .done) }).mutations)
        }
    }

    @Test("a replaced expired entry counts once")
    func replacedWhileReclaiming() throws {
        var state = Self.state(maxEntries: 20)
        for number in 0..<20 {
            let write = StoreWrite.put(StoreKey("test", "\(number)"), [], .after(.milliseconds(1)), if: .any)
            state.apply(try state.planCommit([write]).mutations)
        }
        // More entries have expired than one step frees.
        state.advance(to: 1_000_000_000)
        for number in 0..<20 {
            state.advance(to: 1_000_000_000)
            let writes = [
                StoreWrite.put(StoreKey("test", "\(number)"), [], .never, if: .absent),
                .put(StoreKey("new", "\(number)"), [], .never, if: .absent),
            ]
            guard let plan = try? state.planCommit(writes) else { continue }
            state.apply(plan.mutations)
        }
        let count = try state.scan(StoreKey("test"), after: nil, limit: 100).entries.count
        #expect(count == 10)
        #expect(state.snapshot().count == 20)
    }

    @Test("a single write or update equals a list with one element", arguments: 0..<10 as Range<UInt64>)
    func single(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var single = Self.state(maxEntries: 4)
        var list = Self.state(maxEntries: 4)
        var now: Int64 = 1_000_000_000
        var results: Set<String> = []
        struct Rejection: Error, Equatable { let reason: StoreError.Reason }
        func outcome<Success>(_ body: () throws(StoreError) -> Success) -> Result<Success, Rejection> {
            do throws(StoreError) {
                return .success(try body())
            } catch {
                return .failure(Rejection(reason: error.reason))
            }
        }
        for _ in 0..<2000 {
            now += Int64.random(in: 0...3_000_000, using: &random)
            single.advance(to: now)
            list.advance(to: now)
            let key = Self.keys.randomElement(using: &random) ?? Self.keys[0]
            if Int.random(in: 0..<3, using: &random) == 0 {
                // The state of a long interval is in the far future for a short interval, whose denial repairs the state.
                let interval: Duration = Bool.random(using: &random) ? .milliseconds(2) : .seconds(10)
                let update = AtomicUpdate.gcra(interval: interval, burst: 2, cost: 1)
                let first = outcome { () throws(StoreError) in
                    let plan = try single.plan(key, update)
                    if let change = plan.change {
                        single.apply(change)
                        if !plan.result.isAllowed { results.insert("repaired") }
                    }
                    return UpdateResult(plan.result)
                }
                let second = outcome { () throws(StoreError) in
                    let plan = try list.planUpdate([(key: key, update: update)])
                    list.apply(plan.mutations)
                    return plan.result
                }
                #expect(first == second)
                if case .success(let result) = first { results.insert("allowed: \(result.isApplied)") }
            } else {
                let write = Self.randomWrite(key, version: single.version(of: key), &random)
                let first = outcome { () throws(StoreError) in
                    let plan = try single.plan(write)
                    if let change = plan.change { single.apply(change) }
                    return CommitResult(plan.result)
                }
                let second = outcome { () throws(StoreError) in
                    let plan = try list.planCommit([write])
                    list.apply(plan.mutations)
                    return plan.result
                }
                #expect(first == second, "\(write)")
                switch first {
                case .success(.committed): results.insert("committed")
                case .success(.conflict): results.insert("conflict")
                case .failure(let rejection): results.insert("\(rejection.reason)")
                }
            }
            #expect(single.nextVersion == list.nextVersion)
            #expect(single.usage == list.usage)
            #expect(single.expiryShown(of: key) == list.expiryShown(of: key))
            #expect(try Self.read(single) == Self.read(list))
        }
        #expect(results.count == 6, "\(results)")
    }

    private static func randomWrite(
        _ key: StoreKey,
        version: UInt64?,
        _ random: inout SeededGenerator
    ) -> StoreWrite {
        let conditions: [WriteCondition] = [
            .any, .absent, .present, .version(StoreVersion(rawValue: version ?? 1)),
            .version(StoreVersion(rawValue: (version ?? 0) + 1)),
        ]
        let condition = conditions.randomElement(using: &random) ?? .any
        let expiries: [Expiry] = [.never, .keep, .after(.milliseconds(Int.random(in: 1...40, using: &random)))]
        let expiry = expiries.randomElement(using: &random) ?? .never
        switch Int.random(in: 0..<6, using: &random) {
        case 0: return .delete(key, if: condition)
        case 1: return .touch(key, expiry, if: condition)
        case 2: return .check(key, condition)
        default:
            return .put(key, [UInt8](repeating: 3, count: Int.random(in: 0...3, using: &random)), expiry, if: condition)
        }
    }

    @Test("a single write looks its key up once")
    func oneLookUp() throws {
        var state = Self.state()
        func write(_ write: StoreWrite) throws {
            let plan = try state.plan(write)
            state.apply(try #require(plan.change))
        }
        for key in Self.keys { try write(.put(key, [1], .never, if: .absent)) }
        func steps(_ body: () throws -> Void) rethrows -> Int {
            let before = state.indexSteps("q")
            try body()
            return state.indexSteps("q") - before
        }
        let key = Self.keys[3]
        let read = try steps { _ = try state.get([key]) }
        #expect(read > 0)
        #expect(try steps { try write(.put(key, [2], .never, if: .present)) } == read)
        let listed = try steps {
            state.apply(try state.planCommit([.put(key, [3], .never, if: .present)]).mutations)
        }
        #expect(listed > read)
    }

    @Test("time does not go back")
    func clock() throws {
        var state = Self.state()
        #expect(state.advance(to: 500) == 500)
        #expect(state.advance(to: 400) == 500)
        #expect(state.advance(to: .min) == 500)
        #expect(state.now == 500)
    }

    @Test("records with ended leases are due immediately under the same version")
    func endLeases() throws {
        var state = Self.state()
        state.advance(to: 1_700_000_000_000_000_000)
        let records = ["a", "b", "c"].map { NewRecord(queue: "q", id: $0, payload: []) }
        state.apply(try state.planEnqueue(records).mutations)
        let claims = try state.planClaim("q", limit: 2, lease: .seconds(60))
        state.apply(claims.mutations)
        state.endLeases()
        #expect(try state.page("q", .pending, after: nil, limit: 9).records.allSatisfy { !$0.isLeased })
        #expect(try state.nextDue("q") == .zero)
        let again = try state.planClaim("q", limit: 9, lease: .seconds(60))
        #expect(again.result.map(\.id).sorted() == ["a", "b", "c"])
        #expect(again.result.map(\.attempt).sorted() == [1, 2, 2])
    }

    /// Returns a state with a record that is claimed for a second.
    private static func stateWithClaim() throws -> (StoreStateMachine, RecordClaim) {
        var state = state()
        state.advance(to: 1_700_000_000_000_000_000)
        state.apply(try state.planEnqueue([NewRecord(queue: "q", id: "a", payload: [])]).mutations)
        let plan = try state.planClaim("q", limit: 1, lease: .seconds(1))
        state.apply(plan.mutations)
        return (state, try #require(plan.result.first))
    }

    @Test("a record with a shortened lease is claimed once")
    func claimedOnce() throws {
        var (state, claim) = try Self.stateWithClaim()
        for seconds in [2, 1] {
            state.apply(try state.planSettle([Settlement(claim, .extend(.seconds(seconds)))]).mutations)
        }
        state.advance(to: 1_700_000_003_000_000_000)
        #expect(try state.planClaim("q", limit: 9, lease: .seconds(1)).result.count == 1)
    }

    @Test("the index of due records stays proportional to the records")
    func indexIsBounded() throws {
        var (state, claim) = try Self.stateWithClaim()
        for number in 2..<5000 {
            let settlement = Settlement(claim, .extend(.seconds(number)))
            state.apply(try state.planSettle([settlement]).mutations)
        }
        #expect(try state.counts("q").pending == 1)
        // A heap with outdated entries would visit many of them.
        let steps = state.indexSteps("q")
        _ = try state.planClaim("q", limit: 9, lease: .seconds(1))
        #expect(state.indexSteps("q") - steps < 20)
        state.advance(to: 1_700_004_999_000_000_000)
        #expect(try state.planClaim("q", limit: 9, lease: .seconds(1)).result.map(\.id) == ["a"])
    }

    @Test("an entry with an often extended expiry makes room at its end")
    func movedExpiry() throws {
        var state = Self.state(maxEntries: 1)
        state.advance(to: 1_700_000_000_000_000_000)
        let key = StoreKey("test", "a")
        state.apply(try state.planCommit([.put(key, [], .after(.seconds(1)), if: .any)]).mutations)
        for number in 2..<500 {
            state.apply(try state.planCommit([.touch(key, .after(.seconds(number)), if: .present)]).mutations)
        }
        let other = StoreWrite.put(StoreKey("test", "b"), [], .never, if: .any)
        #expect(throws: StoreError.self) { try state.planCommit([other]) }
        state.advance(to: 1_700_000_499_000_000_000)
        #expect(try state.planCommit([other]).mutations.count == 1)
    }

    @Test("the absence of an entry that was freed for room shows its expiry")
    func freedForRoom() throws {
        var state = Self.state(maxEntries: 100)
        state.advance(to: 1_700_000_000_000_000_000)
        let keys = (0..<100).map { StoreKey("test", "\($0)") }
        for (index, key) in keys.enumerated() {
            let write = StoreWrite.put(key, [], .after(.milliseconds(index + 1)), if: .any)
            state.apply(try state.planCommit([write]).mutations)
        }
        state.advance(to: 1_700_000_000_100_000_000)
        // The commit has more writes than the store frees with each step.
        let writes = (0..<90).map { StoreWrite.put(StoreKey("other", "\($0)"), [], .never, if: .any) }
        _ = try state.planCommit(writes)
        #expect(state.expiryShown(of: keys[99]) == 1_700_000_000_100)
    }

    /// Returns the stored part of a dead letter's reason.
    private func stored(_ reason: String) throws -> String {
        var state = Self.state()
        state.apply(try state.planEnqueue([NewRecord(queue: "q", id: "a", payload: [])]).mutations)
        let claims = try state.planClaim("q", limit: 1, lease: .seconds(1))
        state.apply(claims.mutations)
        state.apply(try state.planSettle(claims.result.map { Settlement($0, .deadLetter(reason: reason)) }).mutations)
        return try #require(try state.page("q", .deadLetter, after: nil, limit: 1).records.first?.deadLetterReason)
    }

    @Test("a dead letter's reason is cut at 1,024 bytes")
    func longReason() throws {
        #expect(try stored(String(repeating: "r", count: 1 << 20)) == String(repeating: "r", count: 1024))
    }

    @Test("a reason is not cut within a character", arguments: 1019...1025)
    func reasonWithLongCharacters(count: Int) throws {
        let reason = String(repeating: "r", count: count) + "\u{1F4A5}\u{E9}"
        let kept = try stored(reason).utf8
        #expect(reason.utf8.starts(with: kept))
        #expect(kept.count == (count <= 1020 ? count + 4 : min(count, 1024)))
    }
}
