import RateLimiter
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@Suite("Limiter")
struct LimiterTests {
    let clock = ManualClock()
    let store: InMemoryStore

    init() { store = InMemoryStore(clock: clock) }

    func limiter(_ limit: Limiter.Configuration, keyspace: Keyspace = "test") -> Limiter {
        Limiter(limit, keyspace: keyspace, store: store, storeFailure: .failClosed(), clock: clock)
    }

    @Test("a decision has the limit, the remainder and the time until the full reset")
    func decision() async throws {
        let limiter = limiter(.gcra(6, per: .seconds(60), burst: 3))
        let first = try await limiter.tryConsume(["user"])
        #expect(first.isAllowed && !first.failedOpen)
        #expect(first.limit == 3 && first.remaining == 2)
        #expect(first.retryAfter == nil && first.resetAfter == .seconds(10))
        let second = try await limiter.tryConsume(["user"], cost: 2)
        #expect(second.isAllowed && second.remaining == 0 && second.resetAfter == .seconds(30))
        let third = try await limiter.tryConsume(["user"])
        #expect(!third.isAllowed && third.remaining == 0)
        #expect(third.retryAfter == .seconds(10) && third.resetAfter == .seconds(30))
    }

    @Test("a preset allows its count once per 15 minutes")
    func presets() async throws {
        for (limit, count) in [(Limiter.Configuration.login, 5), (.fixedWindow(3, per: .seconds(900)), 3)] {
            let limiter = limiter(limit, keyspace: Keyspace("preset \(count)"))
            for _ in 0..<count { #expect(try await limiter.tryConsume(["user"]).isAllowed) }
            clock.advance(by: .seconds(15 * 60 - 1))
            #expect(try await limiter.tryConsume(["user"]).retryAfter == .seconds(1))
            clock.advance(by: .seconds(1))
            #expect(try await limiter.tryConsume(["user"]).remaining == count - 1)
        }
    }

    @Test("consume throws an error with the wait")
    func consume() async throws {
        let limiter = limiter(.fixedWindow(1, per: .seconds(60)))
        try await limiter.consume(["user"])
        clock.advance(by: .seconds(20))
        let error = await #expect(throws: LimiterError.self) { try await limiter.consume(["user"]) }
        #expect(error?.code == "rate_limit.exceeded")
        #expect(error?.category == .rateLimited)
        #expect(error?.retryAfter == .seconds(40))
        #expect(error?.isRejection == true)
    }

    @Test(
        "INV-40: admitted weight in any interval t ≤ burst + rate·t, and a call after retryAfter succeeds",
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
            let decision = try await limiter.tryConsume(["user"], cost: cost)
            if decision.isAllowed { allowed.append((now, cost)) }
            if let wait = decision.retryAfter, Bool.random(using: &generator) {
                clock.advance(by: wait - .nanoseconds(1))
                #expect(!(try await limiter.tryConsume(["user"], cost: cost).isAllowed), "seed \(seed)")
                clock.advance(by: .nanoseconds(1))
                #expect(try await limiter.tryConsume(["user"], cost: cost).isAllowed, "seed \(seed)")
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

    @Test("a window allows exactly the costs that fit its limit", arguments: UInt64(0)..<12)
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
            let decision = try await limiter.tryConsume(["user"], cost: cost)
            #expect(decision.isAllowed == (used + cost <= limit), "seed \(seed)")
            if decision.isAllowed { used += cost }
            #expect(decision.remaining == limit - used, "seed \(seed)")
        }
    }

    @Test("200 concurrent tasks get exactly the burst")
    func concurrent() async throws {
        let limits = [
            ("even", Limiter.Configuration.gcra(20, per: .seconds(60))),
            ("window", .fixedWindow(20, per: .seconds(60))),
        ]
        for (name, limit) in limits {
            let limiter = limiter(limit, keyspace: Keyspace(name))
            let allowed = ConcurrencyCounter()
            try await withThrowingTaskGroup { group in
                for _ in 0..<200 {
                    group.addTask { if try await limiter.tryConsume(["user"]).isAllowed { allowed.increment() } }
                }
                try await group.waitForAll()
            }
            #expect(allowed.value == 20)
        }
    }

    @Test("a denied cost leaves room for a smaller cost")
    func deniedCost() async throws {
        let limiter = limiter(.gcra(10, per: .seconds(10)))
        _ = try await limiter.tryConsume(["user"], cost: 7)
        for _ in 0..<3 { #expect(!(try await limiter.tryConsume(["user"], cost: 5).isAllowed)) }
        #expect(try await limiter.tryConsume(["user"], cost: 3).isAllowed)
    }

    @Test("INV-42: weight > burst rejects at once: a cost above the limit is an error without a retryAfter")
    func neverSatisfiable() async {
        for cost in [6, Int.max] {
            let error = await #expect(throws: LimiterError.self) {
                try await limiter(.login).tryConsume(["user"], cost: cost)
            }
            #expect(error?.code == "rate_limit.never_satisfiable")
            #expect(error?.retryAfter == nil)
        }
    }

    @Test("a cost below 1 is an error and counts nothing", arguments: [0, -1, Int.min])
    func invalidCost(cost: Int) async throws {
        let limiter = limiter(.login)
        let error = await #expect(throws: LimiterError.self) { try await limiter.tryConsume(["user"], cost: cost) }
        #expect(error?.code == "rate_limit.invalid_cost")
        #expect(error?.category == .invalid)
        #expect(try await limiter.tryConsume(["user"]).remaining == 4)
    }

    @Test("different keys have separate limits")
    func keys() async throws {
        let limiter = limiter(.fixedWindow(1, per: .seconds(60)))
        for (first, second) in [("a", "bc"), ("ab", "c"), ("a:b", "c"), ("a", "b:c"), ("", "a"), ("a", "")] {
            #expect(try await limiter.tryConsume([first, second]).isAllowed)
        }
        for key in ["abc", "", "\u{E9}", "e\u{301}", "\0", "*"] {
            #expect(try await limiter.tryConsume([key]).isAllowed)
        }
        #expect(!(try await limiter.tryConsume(["abc"]).isAllowed))
        #expect(!(try await limiter.tryConsume(["a", "bc"]).isAllowed))
    }

    @Test("a key too long for the store is an error in every failure mode")
    func longKey() async throws {
        for policy in [StoreFailureMode.failOpen(), .failClosed()] {
            let limiter = Limiter(.login, keyspace: "test", store: store, storeFailure: policy)
            let error = await #expect(throws: LimiterError.self) {
                try await limiter.consume([String(repeating: "k", count: 1_000_000)])
            }
            #expect(error?.code == "rate_limit.key_too_long")
            #expect(error?.category == .invalid)
        }
    }

    @Test("every entry expires by the time of its full reset")
    func everythingExpires() async throws {
        let limits: [Limiter.Configuration] = [
            .gcra(1, per: .nanoseconds(1)), .gcra(3, per: .seconds(1)), .gcra(1, per: .seconds(31_536_000)),
            .fixedWindow(1, per: .nanoseconds(1)), .fixedWindow(2, per: .milliseconds(500)), .login,
            .fixedWindow(1, per: .seconds(10 * 31_536_000)), .fixedWindow(1, per: .seconds(Int64.max)),
        ]
        for (index, limit) in limits.enumerated() {
            let limiter = limiter(limit, keyspace: Keyspace("limit \(index)"))
            for user in 0..<20 {
                for _ in 0..<3 { _ = try await limiter.tryConsume(["user \(user)"]) }
            }
            let page = try await store.scan(StoreKey(limiter.keyspace), after: nil, limit: 100)
            #expect(page.entries.count == 20)
            let reset = try await limiter.tryConsume(["user 0"]).resetAfter
            for (_, entry) in page.entries {
                let remaining = try #require(entry.remaining)
                #expect(remaining > .zero && remaining <= reset + .milliseconds(1))
            }
        }
        clock.advance(by: .seconds(40_000))
        #expect(try await store.scan(StoreKey("limit 5"), after: nil, limit: 100).entries.isEmpty)
    }

    @Test("a value that is foreign, damaged or without an expiry does not block a key")
    func heals() async throws {
        for (index, limit) in [Limiter.Configuration.gcra(5, per: .seconds(10)), .fixedWindow(5, per: .seconds(10))]
            .enumerated()
        {
            let limiter = limiter(limit, keyspace: Keyspace("heals \(index)"))
            let key = StoreKey(limiter.keyspace, "user")
            for value in [[], [0xFF], Array("5".utf8), Array(repeating: UInt8(0x7F), count: 17)] {
                _ = try await store.commit([.put(key, value, .never, if: .any)])
                #expect(try await limiter.tryConsume(["user"]).isAllowed)
                #expect(try await store.get(key)?.remaining != nil)
            }
            // The state has the right form, with everything used until the end of time.
            for tag in UInt8(2)...3 {
                let value = [tag] + Array(repeating: UInt8(0x7F), count: 16)
                _ = try await store.commit([.put(key, value, .never, if: .any)])
                _ = try await limiter.tryConsume(["user"])
                #expect(try await store.get(key)?.remaining != nil)
                clock.advance(by: .seconds(10))
                #expect(try await limiter.tryConsume(["user"]).isAllowed)
            }
        }
    }

    @Test("a full store rejects new keys and counts known keys")
    func fullStore() async throws {
        let store = InMemoryStore(InMemoryStore.Configuration(maxEntries: 2), clock: clock)
        let limiter = Limiter(.login, keyspace: "test", store: store, storeFailure: .failClosed())
        _ = try await limiter.tryConsume(["first"])
        _ = try await limiter.tryConsume(["second"])
        await #expect(throws: LimiterError.self) { try await limiter.tryConsume(["third"]) }
        #expect(try await limiter.tryConsume(["first"]).remaining == 3)
        // A store keeps an entry until the end of the millisecond.
        clock.advance(by: .seconds(15 * 60) + .milliseconds(1))
        #expect(try await limiter.tryConsume(["third"]).isAllowed)
    }

    @Test("a cancelled task gets a CancellationError and counts nothing")
    func cancelled() async throws {
        let limiter = limiter(.login)
        let task = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return try await limiter.tryConsume(["user"])
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await limiter.tryConsume(["user"]).remaining == 4)
    }

    @Test("invalid configurations are reported without a trap")
    func validation() {
        #expect(problems(of: Limiter.Configuration.login.validate) == [])
        #expect(problems(of: Limiter.Configuration.gcra(3, per: .seconds(1), burst: 2).validate) == [])
        #expect(
            problems(of: Limiter.Configuration.fixedWindow(0, per: .seconds(1)).validate)
                == ["count must be at least 1 (is 0)"]
        )
        #expect(
            problems(of: Limiter.Configuration.fixedWindow(1, per: .zero).validate)
                == ["period must be positive (is 0.0 seconds)"]
        )
        #expect(
            problems(of: Limiter.Configuration.gcra(1, per: .seconds(1), burst: 0).validate)
                == ["burst must be at least 1 (is 0)"]
        )
        #expect(
            problems(of: Limiter.Configuration.gcra(2, per: .nanoseconds(1)).validate) == [
                "period must be positive and at least a nanosecond for each of the 2 calls "
                    + "(is 1e-09 seconds)"
            ]
        )
        #expect(problems(of: Limiter.Configuration.gcra(1, per: .seconds(86_400), burst: 40_000).validate).count == 1)
        let figures = [Int.min, -1, 0, 1, .max]
        for count in figures {
            for seconds in [Int64.min, -1, 0, 1, .max] {
                #expect(
                    (problems(of: Limiter.Configuration.fixedWindow(count, per: .seconds(seconds)).validate) == [])
                        == (count > 0 && seconds > 0)
                )
                for burst in figures {
                    let limit = Limiter.Configuration.gcra(count, per: .seconds(seconds), burst: burst)
                    if count < 1 || seconds < 1 || burst < 1 { #expect(!problems(of: limit.validate).isEmpty) }
                }
            }
        }
    }

    @Test("a timeout of zero is invalid")
    func validation() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Limiter(
                .fixedWindow(0, per: .zero),
                keyspace: "logins",
                store: InMemoryStore(),
                storeFailure: .failClosed()
            )
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(
            text.contains(
                "limiter logins: count must be at least 1 (is 0); "
                    + "period must be positive (is 0.0 seconds)"
            )
        )
    }
}
