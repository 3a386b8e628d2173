import RateLimiter
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@Suite("Limiter")
struct LimiterTests {
    let clock = ManualClock()
    let store: InMemoryStore

    init() { store = InMemoryStore(clock: clock) }

    func limiter(_ limit: RateLimit, keyspace: Keyspace = "test") -> Limiter {
        Limiter(limit, keyspace: keyspace, store: store, whenStoreIsDown: .closed(), clock: clock)
    }

    @Test("a decision carries the limit, what remains, and when the whole limit is there again")
    func decision() async throws {
        let limiter = limiter(.gcra(6, per: .seconds(60), burst: 3))
        let first = try await limiter.check("user")
        #expect(first.isAllowed && !first.isUncounted)
        #expect(first.limit == 3 && first.remaining == 2)
        #expect(first.retryAfter == nil && first.resetAfter == .seconds(10))
        let second = try await limiter.check("user", cost: 2)
        #expect(second.isAllowed && second.remaining == 0 && second.resetAfter == .seconds(30))
        let third = try await limiter.check("user")
        #expect(!third.isAllowed && third.remaining == 0)
        #expect(third.retryAfter == .seconds(10) && third.resetAfter == .seconds(30))
    }

    @Test("the presets allow five, or three, and nothing more for the rest of 15 minutes")
    func presets() async throws {
        for (limit, count) in [(RateLimit.fivePerQuarterHour, 5), (.threePerQuarterHour, 3)] {
            let limiter = limiter(limit, keyspace: Keyspace("preset \(count)"))
            for _ in 0..<count { #expect(try await limiter.check("user").isAllowed) }
            clock.advance(by: .seconds(15 * 60 - 1))
            #expect(try await limiter.check("user").retryAfter == .seconds(1))
            clock.advance(by: .seconds(1))
            #expect(try await limiter.check("user").remaining == count - 1)
        }
    }

    @Test("require throws what a client needs to know")
    func require() async throws {
        let limiter = limiter(.fixedWindow(1, per: .seconds(60)))
        try await limiter.require("user")
        clock.advance(by: .seconds(20))
        let error = await #expect(throws: RateLimitError.self) { try await limiter.require("user") }
        #expect(error?.code == "rate_limit.exceeded")
        #expect(error?.category == .rateLimited)
        #expect(error?.retryAfter == .seconds(40))
        #expect(error?.isRejection == true)
    }

    @Test(
        "R9: in every interval at most burst + rate · t are allowed, and waiting as told is enough",
        arguments: UInt64(0)..<24
    )
    func gcraBound(seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        let count = Int.random(in: 1...7, using: &generator)
        let burst = Int.random(in: 1...6, using: &generator)
        let period = Int64.random(in: 1...5_000_000_000, using: &generator)
        let limiter = limiter(.gcra(count, per: .nanoseconds(max(period, Int64(count))), burst: burst))
        var allowed: [(at: Int64, cost: Int)] = []
        var now: Int64 = 0
        for _ in 0..<200 {
            let step = Int64.random(in: 0...period, using: &generator) / Int64.random(in: 1...8, using: &generator)
            clock.advance(by: .nanoseconds(step))
            now += step
            let cost = Int.random(in: 1...burst, using: &generator)
            let decision = try await limiter.check("user", cost: cost)
            if decision.isAllowed { allowed.append((now, cost)) }
            if let wait = decision.retryAfter, Bool.random(using: &generator) {
                clock.advance(by: wait - .nanoseconds(1))
                #expect(!(try await limiter.check("user", cost: cost).isAllowed), "seed \(seed)")
                clock.advance(by: .nanoseconds(1))
                #expect(try await limiter.check("user", cost: cost).isAllowed, "seed \(seed)")
                now += wait.components.seconds * 1_000_000_000 + wait.components.attoseconds / 1_000_000_000
                allowed.append((now, cost))
            }
        }
        #expect(allowed.count > 20, "seed \(seed)")
        for first in allowed.indices {
            var sum = 0
            for last in first..<allowed.count {
                sum += allowed[last].cost
                let time = allowed[last].at - allowed[first].at
                let bound = burst + Int(time * Int64(count) / max(period, Int64(count)))
                if sum > bound { Issue.record("seed \(seed): \(sum) in \(time) ns, of at most \(bound)") }
            }
        }
    }

    @Test("R9: a window allows its limit and no more, and denies nothing that fits", arguments: UInt64(0)..<12)
    func windowBound(seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        let limit = Int.random(in: 1...6, using: &generator)
        let length = Int64.random(in: 1...5_000_000_000, using: &generator)
        let limiter = limiter(.fixedWindow(limit, per: .nanoseconds(length)))
        var (now, start, used) = (Int64(0), Int64.min, 0)
        for _ in 0..<300 {
            let step = Int64.random(in: 0...length, using: &generator) / Int64.random(in: 1...8, using: &generator)
            clock.advance(by: .nanoseconds(step))
            now += step
            let cost = Int.random(in: 1...limit, using: &generator)
            if start == .min || now - start >= length { (start, used) = (now, 0) }
            let decision = try await limiter.check("user", cost: cost)
            #expect(decision.isAllowed == (used + cost <= limit), "seed \(seed)")
            if decision.isAllowed { used += cost }
            #expect(decision.remaining == limit - used, "seed \(seed)")
        }
    }

    @Test("of 200 concurrent tasks on one key exactly the burst are allowed")
    func concurrent() async throws {
        let limits = [("even", RateLimit.gcra(20, per: .seconds(60))), ("window", .fixedWindow(20, per: .seconds(60)))]
        for (name, limit) in limits {
            let limiter = limiter(limit, keyspace: Keyspace(name))
            let allowed = Counter()
            try await withThrowingTaskGroup { group in
                for _ in 0..<200 {
                    group.addTask { if try await limiter.check("user").isAllowed { allowed.increment() } }
                }
                try await group.waitForAll()
            }
            #expect(allowed.value == 20)
        }
    }

    @Test("R5: a denied cost leaves a smaller one allowed")
    func deniedCost() async throws {
        let limiter = limiter(.gcra(10, per: .seconds(10)))
        _ = try await limiter.check("user", cost: 7)
        for _ in 0..<3 { #expect(!(try await limiter.check("user", cost: 5).isAllowed)) }
        #expect(try await limiter.check("user", cost: 3).isAllowed)
    }

    @Test("R6: a cost above the limit is an error of its own, without a time to come back")
    func neverSatisfiable() async {
        for cost in [6, Int.max] {
            let error = await #expect(throws: RateLimitError.self) {
                try await limiter(.fivePerQuarterHour).check("user", cost: cost)
            }
            #expect(error?.code == "rate_limit.never_satisfiable")
            #expect(error?.retryAfter == nil)
        }
    }

    @Test("R7: a cost that is not positive is an error and adds nothing", arguments: [0, -1, Int.min])
    func invalidCost(cost: Int) async throws {
        let limiter = limiter(.fivePerQuarterHour)
        let error = await #expect(throws: RateLimitError.self) { try await limiter.check("user", cost: cost) }
        #expect(error?.code == "rate_limit.invalid_cost")
        #expect(error?.category == .invalid)
        #expect(try await limiter.check("user").remaining == 4)
    }

    @Test("R23: keys are bytes and components, and never run into each other")
    func keys() async throws {
        let limiter = limiter(.fixedWindow(1, per: .seconds(60)))
        for (first, second) in [("a", "bc"), ("ab", "c"), ("a:b", "c"), ("a", "b:c"), ("", "a"), ("a", "")] {
            #expect(try await limiter.check(first, second).isAllowed)
        }
        for key in ["abc", "", "\u{E9}", "e\u{301}", "\0", "*"] { #expect(try await limiter.check(key).isAllowed) }
        #expect(!(try await limiter.check("abc").isAllowed))
        #expect(!(try await limiter.check("a", "bc").isAllowed))
    }

    @Test("a key longer than the store takes is an error, whatever the failure policy")
    func longKey() async throws {
        for policy in [StoreFailurePolicy.open(), .closed()] {
            let limiter = Limiter(.fivePerQuarterHour, keyspace: "test", store: store, whenStoreIsDown: policy)
            let error = await #expect(throws: RateLimitError.self) {
                try await limiter.require(String(repeating: "k", count: 1_000_000))
            }
            #expect(error?.code == "rate_limit.key_too_long")
            #expect(error?.category == .invalid)
        }
    }

    @Test("R1, R2: everything in the store ends, at the latest when the whole limit is there again")
    func everythingExpires() async throws {
        let limits: [RateLimit] = [
            .gcra(1, per: .nanoseconds(1)), .gcra(3, per: .seconds(1)), .gcra(1, per: .seconds(31_536_000)),
            .fixedWindow(1, per: .nanoseconds(1)), .fixedWindow(2, per: .milliseconds(500)), .fivePerQuarterHour,
            .fixedWindow(1, per: .seconds(10 * 31_536_000)), .fixedWindow(1, per: .seconds(Int64.max)),
        ]
        for (index, limit) in limits.enumerated() {
            let limiter = limiter(limit, keyspace: Keyspace("limit \(index)"))
            for user in 0..<20 {
                for _ in 0..<3 { _ = try await limiter.check("user \(user)") }
            }
            let page = try await store.scan(StoreKey(limiter.keyspace), after: nil, limit: 100)
            #expect(page.entries.count == 20)
            let reset = try await limiter.check("user 0").resetAfter
            for (_, entry) in page.entries {
                let remaining = try #require(entry.remaining)
                #expect(remaining > .zero && remaining <= reset + .milliseconds(1))
            }
        }
        clock.advance(by: .seconds(40_000))
        #expect(try await store.scan(StoreKey("limit 5"), after: nil, limit: 100).entries.isEmpty)
    }

    @Test("R1: a value that is foreign, damaged or without an expiry locks nobody out")
    func heals() async throws {
        for (index, limit) in [RateLimit.gcra(5, per: .seconds(10)), .fixedWindow(5, per: .seconds(10))].enumerated() {
            let limiter = limiter(limit, keyspace: Keyspace("heals \(index)"))
            let key = StoreKey(limiter.keyspace, "user")
            for value in [[], [0xFF], Array("5".utf8), Array(repeating: UInt8(0x7F), count: 17)] {
                _ = try await store.commit([.put(key, value, .never, if: .any)])
                #expect(try await limiter.check("user").isAllowed)
                #expect(try await store.get(key)?.remaining != nil)
            }
            // Of the right form, all used, and until the end of time.
            for tag in UInt8(2)...3 {
                let value = [tag] + Array(repeating: UInt8(0x7F), count: 16)
                _ = try await store.commit([.put(key, value, .never, if: .any)])
                _ = try await limiter.check("user")
                #expect(try await store.get(key)?.remaining != nil)
                clock.advance(by: .seconds(10))
                #expect(try await limiter.check("user").isAllowed)
            }
        }
    }

    @Test("a store that is full refuses new keys and still counts the old ones")
    func fullStore() async throws {
        let store = InMemoryStore(maximumEntries: 2, clock: clock)
        let limiter = Limiter(.fivePerQuarterHour, keyspace: "test", store: store, whenStoreIsDown: .closed())
        _ = try await limiter.check("first")
        _ = try await limiter.check("second")
        await #expect(throws: RateLimitError.self) { try await limiter.check("third") }
        #expect(try await limiter.check("first").remaining == 3)
        // A store keeps an entry to the end of the millisecond.
        clock.advance(by: .seconds(15 * 60) + .milliseconds(1))
        #expect(try await limiter.check("third").isAllowed)
    }

    @Test("a cancelled task gets a CancellationError, counts nothing and is no failure of the store")
    func cancelled() async throws {
        let limiter = limiter(.fivePerQuarterHour)
        let task = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return try await limiter.check("user")
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await limiter.check("user").remaining == 4)
    }

    @Test("figures that make no sense are values with problems, and trap nowhere before a limiter is made of them")
    func problems() {
        #expect(RateLimit.fivePerQuarterHour.problems() == [])
        #expect(RateLimit.gcra(3, per: .seconds(1), burst: 2).problems() == [])
        #expect(
            RateLimit.fixedWindow(0, per: .seconds(1)).problems()
                == ["the count of a rate limit must be at least 1 (is 0)"]
        )
        #expect(
            RateLimit.fixedWindow(1, per: .zero).problems()
                == ["the period of a rate limit must be positive (is 0.0 seconds)"]
        )
        #expect(
            RateLimit.gcra(1, per: .seconds(1), burst: 0).problems()
                == ["the burst of a rate limit must be at least 1 (is 0)"]
        )
        #expect(
            RateLimit.gcra(2, per: .nanoseconds(1)).problems() == [
                "the period of a rate limit must be positive, and at least a nanosecond for each of its 2 calls "
                    + "(is 1e-09 seconds)"
            ]
        )
        #expect(RateLimit.gcra(1, per: .seconds(86_400), burst: 40_000).problems().count == 1)
        let figures = [Int.min, -1, 0, 1, .max]
        for count in figures {
            for seconds in [Int64.min, -1, 0, 1, .max] {
                #expect(
                    (RateLimit.fixedWindow(count, per: .seconds(seconds)).problems() == [])
                        == (count > 0 && seconds > 0)
                )
                for burst in figures {
                    let limit = RateLimit.gcra(count, per: .seconds(seconds), burst: burst)
                    if count < 1 || seconds < 1 || burst < 1 { #expect(!limit.problems().isEmpty) }
                }
            }
        }
    }

    @Test("a limit with problems does not get past the construction of a limiter, and the message names its figures")
    func misconfiguration() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Limiter(
                .fixedWindow(0, per: .zero),
                keyspace: "logins",
                store: InMemoryStore(),
                whenStoreIsDown: .closed()
            )
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(
            text.contains(
                "the limiter logins cannot work: the count of a rate limit must be at least 1 (is 0); "
                    + "the period of a rate limit must be positive (is 0.0 seconds)"
            )
        )
    }
}

@Suite("Limiter while its store is down")
struct LimiterStoreFailureTests {
    let clock = ManualClock()
    let store: FlakyStore
    let events = EventRecorder<LimiterEvent>()

    init() { store = FlakyStore(clock: clock) }

    func limiter(_ policy: StoreFailurePolicy) -> Limiter {
        Limiter(
            .fivePerQuarterHour,
            keyspace: "test",
            store: store,
            whenStoreIsDown: policy,
            clock: clock,
            observer: events.record
        )
    }

    @Test("open: calls are allowed, and the decision says that they were not counted")
    func open() async throws {
        store.set(.fails(.unavailable))
        for _ in 0..<10 {
            let decision = try await limiter(.open()).check("user")
            #expect(decision.isAllowed && decision.isUncounted)
        }
    }

    @Test("open: a cost that can never be allowed is not allowed then either")
    func openNeverSatisfiable() async {
        store.set(.fails(.unavailable))
        await #expect(throws: RateLimitError.self) { try await limiter(.open()).check("user", cost: 6) }
    }

    @Test(
        "closed: an error says that the service is unavailable, never that a limit was exceeded",
        arguments: [
            StoreError.Reason.unavailable, .unknownOutcome, .diskFull, .capacityExceeded, .failed, .closed, .locked,
            .invalid, .corruption(file: "file", offset: 7),
        ]
    )
    func closed(reason: StoreError.Reason) async {
        store.set(.fails(reason))
        let error = await #expect(throws: RateLimitError.self) { try await limiter(.closed()).check("user") }
        #expect(error?.code == "rate_limit.store_unavailable")
        #expect(error?.category == .unavailable)
        #expect((error?.underlyingError as? StoreError)?.reason == reason)
    }

    @Test("an answer that was lost is not asked for again: the call is counted once")
    func lostAnswer() async throws {
        let limiter = limiter(.open())
        store.set(.losesAnswers)
        #expect(try await limiter.check("user").isUncounted)
        #expect(store.calls.value == 1)
        store.set(.works)
        #expect(try await limiter.check("user").remaining == 3)
    }

    @Test("R17: a store that hangs costs the time limit, and three times only")
    func hangs() async throws {
        let limiter = limiter(.open(timeLimit: .seconds(2)))
        store.set(.hangs)
        for _ in 0..<3 {
            let decision = Task { try await limiter.check("user") }
            await clock.waitForSleepers(2)
            clock.advance(by: .seconds(2))
            #expect(try await decision.value.isUncounted)
        }
        #expect(try await limiter.check("user").isUncounted)
        #expect(store.calls.value == 3)
    }

    @Test("it recovers by itself, and an observer hears of the outage once and of its end once")
    func recovers() async throws {
        let limiter = limiter(.open())
        #expect(try await limiter.check("user").remaining == 4)
        store.set(.fails(.unavailable))
        for _ in 0..<20 { #expect(try await limiter.check("user").isUncounted) }
        #expect(store.calls.value == 4)
        store.set(.works)
        #expect(try await limiter.check("user").isUncounted)
        clock.advance(by: .seconds(1))
        #expect(try await limiter.check("user").remaining == 3)
        for _ in 0..<3 { #expect(try await limiter.check("user").isAllowed) }
        #expect(!(try await limiter.check("user").isAllowed))
        let seen = await events.wait(for: 3).map { event in
            switch event {
            case .limited(let decision): "limited, \(decision.remaining) left"
            case .storeDown(let error): "down: \(error.code)"
            case .storeBack: "back"
            case .missed(let count): "missed \(count)"
            }
        }
        #expect(seen == ["down: store.unavailable", "back", "limited, 0 left"])
    }

    @Test("a caller that leaves while the store hangs gets a CancellationError at once")
    func cancelledWhileHanging() async {
        let limiter = limiter(.open(timeLimit: .seconds(2)))
        store.set(.hangs)
        let decision = Task { try await limiter.check("user") }
        await clock.waitForSleepers(2)
        decision.cancel()
        await #expect(throws: CancellationError.self) { try await decision.value }
        #expect(events.events.isEmpty)
    }

    @Test("a time limit that is not positive is refused at construction")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) { _ = StoreFailurePolicy.open(timeLimit: .zero) }
    }
}

@Suite("LimiterPolicy")
struct LimiterPolicyTests {
    final class NotSendable { var count = 0 }

    let limiter = Limiter(
        .fixedWindow(2, per: .seconds(60)),
        keyspace: "test",
        store: InMemoryStore(clock: ManualClock()),
        whenStoreIsDown: .closed()
    )

    actor Account {
        var balance = 0
        func deposit(_ policy: some CallPolicy) async throws -> Int {
            try await policy.run {
                self.preconditionIsolated()
                balance += 1
                return balance
            }
        }
    }

    @Test("R27: the limiter decides before the call runs, for its own key")
    func decidesBefore() async throws {
        let policy = limiter.policy(for: "user")
        let account = Account()
        #expect(try await account.deposit(policy) == 1)
        #expect(try await account.deposit(policy) == 2)
        await #expect(throws: RateLimitError.self) { try await account.deposit(policy) }
        #expect(await account.balance == 2)
        #expect(try await account.deposit(limiter.policy(for: "other", cost: 2)) == 3)
    }

    @Test("the main actor stays the main actor, and values that are not Sendable pass")
    @MainActor
    func mainActor() async throws {
        let box = NotSendable()
        let result = try await limiter.policy(for: "user").run {
            MainActor.preconditionIsolated()
            box.count += 1
            return box
        }
        #expect(result === box)
        #expect(box.count == 1)
    }

    @Test("a call that fails is thrown as it is, and stays counted")
    func failing() async throws {
        struct Broken: Error {}
        await #expect(throws: Broken.self) { try await limiter.policy(for: "user").run { throw Broken() } }
        #expect(try await limiter.check("user").remaining == 0)
    }
}
