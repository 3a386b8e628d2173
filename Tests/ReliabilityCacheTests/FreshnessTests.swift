import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCache

@Suite("LoadingCache: freshness")
struct FreshnessTests {
    let clock = ManualClock()
    let source = Source()
    let gate = TaskGate()

    private func cache(
        jitter: Double = 0,
        earlyRefresh: CacheConfiguration.EarlyRefresh = .none,
        staleWhileRevalidate: Duration = .zero,
        staleIfError: Duration = .zero,
        rememberingFailure: @escaping @Sendable (any Error) -> Duration? = { _ in nil },
        seed: UInt64 = 1
    ) -> LoadingCache<Int, Int> {
        LoadingCache(
            CacheConfiguration(
                timeToLive: .seconds(100),
                jitter: jitter,
                earlyRefresh: earlyRefresh,
                staleWhileRevalidate: staleWhileRevalidate,
                staleIfError: staleIfError
            ),
            rememberingFailure: rememberingFailure,
            clock: clock,
            randomness: SeededGenerator(seed: seed)
        ) { [source] _, stale in .value(try await source.load(stale: stale)) }
    }

    @Test("C24: at age = lifetime an entry is not fresh, for reads, statistics and peeks alike")
    func boundary() async throws {
        let cache = cache()
        #expect(try await cache.value(for: 0) == 1)
        source.value = 2
        clock.advance(by: .nanoseconds(99_999_999_999))
        #expect(cache.cached(0) == 1)
        #expect(try await cache.value(for: 0) == 1)
        clock.advance(by: .nanoseconds(1))
        #expect(cache.cached(0) == nil)
        #expect(try await cache.value(for: 0) == 2)
        #expect(cache.snapshot.hits == 1)
        #expect(cache.snapshot.misses == 2)
    }

    @Test("C24: the lifetime begins with the load")
    func lifetimeBegins() async throws {
        let cache = cache()
        source.gate = gate
        let read = Task { try await cache.value(for: 0) }
        await gate.waitForArrivals(1)
        clock.advance(by: .seconds(9))
        gate.open()
        #expect(try await read.value == 1)
        clock.advance(by: .seconds(91))
        #expect(cache.cached(0) == nil)
    }

    @Test("C25, C30: jittered lifetimes are from lifetime · (1 − j) to lifetime and spread over that range")
    func jitter() async throws {
        let cache = cache(jitter: 0.2)
        for key in 0..<1000 { _ = try await cache.value(for: key) }
        var present: [Int] = []
        for _ in 0..<20 {
            clock.advance(by: .seconds(present.isEmpty ? 80 : 1))
            present.append((0..<1000).count { cache.cached($0) != nil })
        }
        #expect(present[0] == 1000)
        // The thousand entries end in twenty seconds, about fifty in each.
        for second in 1..<20 { #expect((20...90).contains(present[second - 1] - present[second])) }
        clock.advance(by: .seconds(1))
        #expect((0..<1000).allSatisfy { cache.cached($0) == nil })
    }

    @Test("C25: lifetimes of any size saturate")
    func hugeLifetime() async throws {
        let cache = LoadingCache<Int, Int>(
            CacheConfiguration(
                timeToLive: .seconds(Int64.max),
                staleWhileRevalidate: .seconds(Int64.max),
                staleIfError: .seconds(Int64.max),
                loadTimeout: .seconds(Int64.max)
            ),
            clock: clock
        ) { [source] _ in try await source.load() }
        #expect(try await cache.value(for: 0) == 1)
        clock.advance(by: .seconds(Int64.max))
        #expect(try await cache.value(for: 0) == 1)
    }

    @Test("C26: the probability of an early refresh is e^(−remaining / (β · δ))")
    func earlyRefresh() {
        let cache = cache(earlyRefresh: .probabilistic(beta: 2))
        // δ = 1 s, so the mean of the early time is 2 s.
        let early = (0..<100_000).map { _ -> Double in
            let entry = cache.entry(of: .value(1), for: 0, start: 1, began: 0, took: 1_000_000_000)
            return Double(entry.expiry - entry.refreshTime) / 1e9
        }
        for (remaining, probability) in [(1.0, 0.6065), (2.0, 0.3679), (6.0, 0.0498)] {
            let share = Double(early.count { $0 >= remaining }) / Double(early.count)
            #expect(abs(share - probability) < 0.01)
        }
    }

    @Test("C26: β = 0 or δ = 0 never refreshes early")
    func noEarlyRefresh() {
        let entry = cache(earlyRefresh: .probabilistic(beta: 0))
            .entry(of: .value(1), for: 0, start: 1, began: 0, took: 1_000_000_000)
        #expect(entry.refreshTime == entry.expiry)
        let instant = cache(earlyRefresh: .probabilistic()).entry(of: .value(1), for: 0, start: 1, began: 0, took: 0)
        #expect(instant.refreshTime == instant.expiry)
    }

    @Test("C26: an early refresh never blocks its caller, and at most one refresh of a key runs")
    func earlyRefreshInBackground() async throws {
        let cache = cache(earlyRefresh: .probabilistic(beta: 1))
        source.gate = gate
        let first = Task { try await cache.value(for: 0) }
        await gate.waitForArrivals(1)
        clock.advance(by: .seconds(5))
        gate.open()
        #expect(try await first.value == 1)
        let second = TaskGate()
        (source.gate, source.value) = (second, 2)
        clock.advance(by: .nanoseconds(94_999_999_999))
        for _ in 0..<10 { #expect(try await cache.value(for: 0) == 1) }
        #expect(source.loads == 2)
        #expect(cache.snapshot.backgroundLoads == 1)
        #expect(cache.snapshot.hits == 10)
        second.open()
        while cache.snapshot.successfulLoads < 2 { await Task.yield() }
        #expect(cache.cached(0) == 2)
    }

    @Test("C29: a stale value is served for age < lifetime + window and refreshed in the background")
    func staleWhileRevalidate() async throws {
        let cache = cache(staleWhileRevalidate: .seconds(30))
        #expect(try await cache.value(for: 0) == 1)
        source.value = 2
        clock.advance(by: .seconds(100))
        #expect(try await cache.value(for: 0) == 1)
        #expect(try await cache.value(for: 0) == 2)
        #expect(source.stale == [nil, 1])
        #expect(cache.snapshot.staleHits == 1)
        source.value = 3
        clock.advance(by: .seconds(130))
        #expect(try await cache.value(for: 0) == 3)
        #expect(cache.snapshot.staleHits == 1)
    }

    @Test("C29: a stale value answers a failed load only within staleIfError")
    func staleIfError() async throws {
        let cache = cache(staleIfError: .seconds(60))
        #expect(try await cache.value(for: 0) == 1)
        source.error = TestReliabilityError(.unavailable)
        clock.advance(by: .seconds(159))
        #expect(try await cache.value(for: 0) == 1)
        #expect(cache.snapshot.staleAnswers == 1)
        clock.advance(by: .seconds(1))
        await #expect(throws: TestReliabilityError.self) { try await cache.value(for: 0) }
    }

    @Test("C29: what was invalidated is never served as stale, also if the invalidation came during the load")
    func invalidatedIsNotStale() async throws {
        let cache = cache(staleWhileRevalidate: .seconds(30), staleIfError: .seconds(60))
        #expect(try await cache.value(for: 0) == 1)
        clock.advance(by: .seconds(140))
        (source.error, source.gate) = (TestError(7), gate)
        let read = Task { try await cache.value(for: 0) }
        await gate.waitForArrivals(1)
        cache.invalidate(0)
        gate.open()
        await #expect(throws: TestError(7)) { try await read.value }
        await #expect(throws: TestError(7)) { try await cache.value(for: 0) }
    }

    @Test("an answer of the source, such as not found, is not replaced by a stale value")
    func requestFault() async throws {
        let cache = cache(staleIfError: .seconds(60))
        #expect(try await cache.value(for: 0) == 1)
        clock.advance(by: .seconds(101))
        source.error = TestReliabilityError(.notFound)
        await #expect(throws: TestReliabilityError.self) { try await cache.value(for: 0) }
        #expect(cache.snapshot.entries == 0)
    }

    @Test("a fresh read never receives a stale value")
    func freshReadFails() async throws {
        let cache = cache(staleIfError: .seconds(60))
        #expect(try await cache.value(for: 0) == 1)
        source.error = TestError(7)
        await #expect(throws: TestError(7)) { try await cache.value(for: 0, .fresh) }
        #expect(cache.cached(0) == 1)
    }

    @Test("C17: while a stale value serves, a failed refresh is tried at most once per back-off")
    func backoff() async throws {
        let cache = cache(staleWhileRevalidate: .seconds(30), staleIfError: .seconds(60))
        #expect(try await cache.value(for: 0) == 1)
        source.error = TestError(7)
        clock.advance(by: .seconds(100))
        for _ in 0..<10 { #expect(try await cache.value(for: 0) == 1) }
        #expect(source.loads == 2)
        clock.advance(by: .seconds(10))
        for _ in 0..<10 { #expect(try await cache.value(for: 0) == 1) }
        #expect(source.loads == 3)
        // Beyond staleWhileRevalidate, a read waits for the load and the back-off applies all the same.
        clock.advance(by: .seconds(30))
        for _ in 0..<10 { #expect(try await cache.value(for: 0) == 1) }
        #expect(source.loads == 4)
    }

    @Test("C14: a refresh that times out counts as failed, and the stale value answers")
    func staleAfterTimeout() async throws {
        let cache = cache(staleIfError: .seconds(60))
        #expect(try await cache.value(for: 0) == 1)
        clock.advance(by: .seconds(101))
        source.gate = gate
        let read = Task { try await cache.value(for: 0) }
        await clock.advance(by: .seconds(10), whenSleeping: 1)
        #expect(try await read.value == 1)
        #expect(try await cache.value(for: 0) == 1)
        #expect(source.loads == 2)
        gate.open()
    }

    @Test("C16: failures are remembered only where the rule allows, for that time, and at most for the lifetime")
    func rememberedFailures() async throws {
        let cache = cache(rememberingFailure: { error in
            (error as? TestReliabilityError)?.category == .notFound ? .seconds(500) : nil
        })
        source.error = TestError(7)
        for _ in 0..<2 { await #expect(throws: TestError(7)) { try await cache.value(for: 0) } }
        #expect(source.loads == 2)
        source.error = TestReliabilityError(.notFound)
        for _ in 0..<5 { await #expect(throws: TestReliabilityError.self) { try await cache.value(for: 0) } }
        #expect(source.loads == 3)
        #expect(cache.snapshot.failureHits == 4)
        source.error = nil
        clock.advance(by: .seconds(100))
        #expect(try await cache.value(for: 0) == 1)
    }

    @Test("C16: rejections and cancellations are never remembered")
    func notRemembered() async throws {
        let cache = cache(rememberingFailure: { _ in .seconds(50) })
        source.error = TestRejection()
        for _ in 0..<2 { await #expect(throws: TestRejection.self) { try await cache.value(for: 0) } }
        #expect(source.loads == 2)
        (source.error, source.gate) = (TestError(7), gate)
        let read = Task { try await cache.value(for: 1) }
        await gate.waitForArrivals(1)
        read.cancel()
        await #expect(throws: CancellationError.self) { try await read.value }
        gate.open()
        while cache.snapshot.failedLoads < 3 { await Task.yield() }
        (source.error, source.gate) = (nil, nil)
        #expect(try await cache.value(for: 1) == 1)
    }

    @Test("an absent value is a value with a lifetime of its own")
    func absent() async throws {
        let loads = Lock(0)
        let cache = LoadingCache<Int, String?>(.expiring(after: .seconds(100)), clock: clock) { _, _ in
            loads.withLock { $0 += 1 }
            return .value(nil, timeToLive: .seconds(5))
        }
        for _ in 0..<3 { #expect(try await cache.value(for: 0) == nil) }
        #expect(loads.withLock { $0 } == 1)
        clock.advance(by: .seconds(5))
        #expect(try await cache.value(for: 0) == nil)
        #expect(loads.withLock { $0 } == 2)
    }
}
