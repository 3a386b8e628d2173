import RateLimiter
import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

/// Bounds that hold in any sequence of outages.
@Suite("Bounds of a local fallback")
struct LimiterFallbackBoundTests {
    private struct Allowed {
        let at: Int64
        let cost: Int
    }

    private static let faults: [StoreFault?] = [
        nil, nil, .failBefore, .failBefore, .unknownOutcomeBeforeApply, .unknownOutcomeAfterApply, .reject(.failed),
    ]

    /// Makes calls during random outages, and returns the allowed calls of the store and of the share.
    private func flap(
        _ limit: Limiter.Configuration,
        share: Double,
        step: Int64,
        _ generator: inout SeededGenerator
    ) async throws -> (store: [Allowed], local: [Allowed]) {
        let clock = ManualClock()
        let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock)
        let limiter = Limiter(
            limit,
            keyspace: "test",
            store: store,
            storeFailure: .localFallback(share: share),
            clock: clock
        )
        var calls: (store: [Allowed], local: [Allowed]) = ([], [])
        var now: Int64 = 0
        for _ in 0..<400 {
            if Int.random(in: 0..<6, using: &generator) == 0 {
                store.outage = Self.faults.randomElement(using: &generator) ?? nil
            }
            if Int.random(in: 0..<3, using: &generator) == 0 {
                let wait = Int64.random(in: 0...step, using: &generator)
                clock.advance(by: .nanoseconds(wait))
                now += wait
            }
            let cost = Bool.random(using: &generator) ? 1 : Int.random(in: 1...limit.capacity, using: &generator)
            // A cost above the share is an error.
            guard let decision = try? await limiter.tryConsume(["user"], cost: cost) else { continue }
            let allowed = decision.isAllowed ? [Allowed(at: now, cost: cost)] : []
            if decision.isLocal { calls.local += allowed } else { calls.store += allowed }
        }
        return calls
    }

    /// Requires a bound in every interval between two calls.
    private func check(_ calls: [Allowed], _ text: String, bound: (_ time: Int64) -> Int) {
        let calls = calls.sorted { $0.at < $1.at }
        for first in calls.indices {
            var sum = 0
            for last in first..<calls.count {
                sum += calls[last].cost
                let time = calls[last].at - calls[first].at
                if sum > bound(time) { Issue.record("\(text): \(sum) in \(time) ns, of at most \(bound(time))") }
            }
        }
    }

    @Test("GCRA allows at most its bound and the bound of the share in any interval", arguments: UInt64(0)..<30)
    func gcra(seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        let count = Int.random(in: 1...20, using: &generator)
        let burst = Int.random(in: 1...12, using: &generator)
        let period = Int64(60_000_000_000)
        let share = Double.random(in: 0.05...1, using: &generator)
        let limit = Limiter.Configuration.gcra(count, per: .nanoseconds(period), burst: burst)
        let step = period / Int64(count) * 2
        let (store, local) = try await flap(limit, share: share, step: step, &generator)
        let part = max(1, Int(Double(burst) * share))
        func whole(_ time: Int64) -> Int { burst + Int(time * Int64(count) / period) }
        func shared(_ time: Int64) -> Int { part + Int(Double(time) * Double(count) * share / Double(period) + 1e-6) }
        check(store, "seed \(seed), store", bound: whole)
        check(local, "seed \(seed), share", bound: shared)
        check(store + local, "seed \(seed)") { whole($0) + shared($0) }
        #expect(!store.isEmpty && !local.isEmpty, "seed \(seed)")
    }

    @Test("windows allow at most twice the limit and the share in any interval of a period", arguments: UInt64(0)..<30)
    func windows(seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        let count = Int.random(in: 1...20, using: &generator)
        let period = Int64(10_000_000_000)
        let share = Double.random(in: 0.05...1, using: &generator)
        let limit = Limiter.Configuration.fixedWindow(count, per: .nanoseconds(period))
        let (store, local) = try await flap(limit, share: share, step: 2_000_000_000, &generator)
        let part = max(1, Int(Double(count) * share))
        check(store, "seed \(seed), store") { $0 < period ? 2 * count : .max }
        check(local, "seed \(seed), share") { $0 < period ? 2 * part : .max }
        check(store + local, "seed \(seed)") { $0 < period ? 2 * (count + part) : .max }
        #expect(!store.isEmpty && !local.isEmpty, "seed \(seed)")
    }

    @Test("in a window, each decision equals the decision of a model of the charges", arguments: UInt64(0)..<40)
    func model(seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        let limit = Int.random(in: 1...60, using: &generator)
        let share = Double.random(in: 0.05...1, using: &generator)
        let part = max(1, Int(Double(limit) * share))
        let clock = ManualClock()
        let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock)
        let limiters = (0..<3).map { _ in
            Limiter(
                .fixedWindow(limit, per: .seconds(86_400)),
                keyspace: "test",
                store: store,
                storeFailure: .localFallback(share: share),
                clock: clock
            )
        }
        var counted = 0
        var used = [0, 0, 0]
        var uncharged = [0, 0, 0]
        var total = 0
        for _ in 0..<300 {
            if Int.random(in: 0..<6, using: &generator) == 0 {
                store.outage = [nil, .failBefore, .unknownOutcomeBeforeApply].randomElement(using: &generator) ?? nil
            }
            clock.advance(by: .milliseconds(Int.random(in: 0...800, using: &generator)))
            let process = Int.random(in: 0..<3, using: &generator)
            let cost = Int.random(in: 1...max(1, limit / 10), using: &generator)
            guard let decision = try? await limiters[process].tryConsume(["user"], cost: cost) else {
                #expect(cost > part, "seed \(seed)")
                continue
            }
            if decision.isLocal {
                #expect(decision.isAllowed == (used[process] + cost <= part), "seed \(seed)")
                if decision.isAllowed {
                    used[process] += cost
                    uncharged[process] += cost
                }
                #expect(decision.remaining == part - used[process], "seed \(seed)")
            } else {
                counted = min(limit, counted + uncharged[process])
                uncharged[process] = 0
                #expect(decision.isAllowed == (counted + cost <= limit), "seed \(seed)")
                if decision.isAllowed { counted += cost }
                #expect(decision.remaining == limit - counted, "seed \(seed)")
            }
            if decision.isAllowed { total += cost }
        }
        #expect(total <= limit + 3 * part, "seed \(seed)")
    }

    @Test("one process reaches the limit and the share in a window, and never more")
    func exactBound() async throws {
        let clock = ManualClock()
        let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock)
        let limiter = Limiter(
            .fixedWindow(8, per: .seconds(3600)),
            keyspace: "test",
            store: store,
            storeFailure: .localFallback(share: 0.5),
            clock: clock
        )
        var allowed = 0
        for _ in 0..<10 {
            for outage in [nil, StoreFault.failBefore] {
                store.outage = outage
                clock.advance(by: .seconds(1))
                for _ in 0..<20 where try await limiter.tryConsume(["user"]).isAllowed { allowed += 1 }
            }
        }
        #expect(allowed == 12)
    }

    @Test("many tasks during outages are allowed at most the limit and the share")
    func concurrent() throws {
        try Simulation.run(seeds: 0..<60) { simulation in
            let clock = simulation.clock
            var generator = SeededGenerator(seed: simulation.seed)
            let seed = simulation.seed
            let faults: [StoreFault] = [
                .failBefore, .hang, .hangAfterApply, .slow(.milliseconds(700)), .slow(.seconds(5)),
                .unknownOutcomeBeforeApply, .unknownOutcomeAfterApply,
            ]
            let store = FaultInjectingStore(
                InMemoryStore(clock: clock),
                clock: clock,
                faults: StoreFault.random(probability: 0.5, of: faults, seed: seed)
            )
            let limiter = Limiter(
                .fixedWindow(20, per: .seconds(86_400)),
                keyspace: "test",
                store: store,
                storeFailure: .localFallback(share: 0.25),
                clock: clock
            )
            let waits = (0..<80).map { _ in Duration.milliseconds(Int.random(in: 0...9_000, using: &generator)) }
            let allowed = ConcurrencyCounter()
            let local = ConcurrencyCounter()
            await withTaskGroup { group in
                for wait in waits {
                    group.addTask {
                        try? await clock.sleep(for: wait)
                        guard let decision = try? await limiter.tryConsume(["user"]) else { return }
                        if decision.isAllowed { allowed.increment() }
                        if decision.isAllowed, decision.isLocal { local.increment() }
                    }
                }
            }
            simulation.expect(local.value <= 5, "\(local.value) calls were allowed by the share")
            simulation.expect(allowed.value <= 25, "\(allowed.value) calls were allowed")
            simulation.expect(local.value > 0 && allowed.value > local.value, "one side decided nothing")
        }
    }

    @Test("tasks on several threads during an outage get exactly the share, and the store counts all of their calls")
    func parallel() async throws {
        let clock = ManualClock()
        let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock)
        let limiter = Limiter(
            .fixedWindow(1_000, per: .seconds(3600)),
            keyspace: "test",
            store: store,
            storeFailure: .localFallback(share: 0.5),
            clock: clock
        )
        func calls(_ number: Int) async -> (local: Int, store: Int) {
            await withTaskGroup { group in
                for _ in 0..<number { group.addTask { try? await limiter.tryConsume(["user"]) } }
                return await group.reduce(into: (0, 0)) { sums, decision in
                    guard let decision, decision.isAllowed else { return }
                    if decision.isLocal { sums.0 += 1 } else { sums.1 += 1 }
                }
            }
        }
        store.outage = .failBefore
        #expect(await calls(700) == (500, 0))
        store.outage = nil
        clock.advance(by: .seconds(1))
        #expect(try await limiter.tryConsume(["user"]).remaining == 499)
        #expect(await calls(700) == (0, 499))
    }
}
