import Dispatch
import Reliability
import ReliabilityTesting
import Testing

@Suite("Callbacks", .serialized)
struct CallbackTests {
    private struct Failure: Error {}

    /// Makes an observer's thread wait until the test lets it go on.
    private final class Blocker: Sendable {
        private let semaphore = DispatchSemaphore(value: 0)
        func block() { semaphore.wait() }
        func release() { semaphore.signal() }
    }

    @Test("INV-37: an observer that blocks holds no call, and hears everything in order when it goes on")
    func blockingObservers() async throws {
        let blocker = Blocker()
        let isFirst = Lock(true)
        @Sendable func blockOnce() {
            let mustBlock = isFirst.withLock { isFirst in
                defer { isFirst = false }
                return isFirst
            }
            if mustBlock { blocker.block() }
        }
        let (breakerEvents, retryEvents) = (EventRecorder<BreakerEvent>(), EventRecorder<RetryEvent>())
        let (limiterEvents, records) = (EventRecorder<LimiterEvent>(), EventRecorder<CallRecord>())
        let timeoutEvents = EventRecorder<TimeoutEvent>()
        let clock = ManualClock()
        let breaker = Breaker(BreakerConfiguration(trip: .consecutiveFailures(2)), clock: clock) { event in
            blockOnce()
            breakerEvents.record(event)
        }
        let retry = RetryPolicy(
            RetryConfiguration(.idempotent, maxAttempts: 3, backoff: .none),
            clock: clock,
            observer: { event in
                blockOnce()
                retryEvents.record(event)
            }
        )
        let limiter = Limiter(
            .fixedWindow(1, per: .seconds(60)),
            keyspace: "calls",
            store: InMemoryStore(clock: clock),
            whenStoreIsDown: .closed(),
            observer: { event in
                blockOnce()
                limiterEvents.record(event)
            }
        )
        let timeout = TimeoutPolicy(.seconds(5), clock: clock) { event in
            blockOnce()
            timeoutEvents.record(event)
        }
        let pipeline = Pipeline(
            "call",
            clock: clock,
            observer: { record in
                blockOnce()
                records.record(record)
            }
        ) {
            limiter.policy(for: "ann")
            retry
            breaker
        }
        // All of this ends while an observer stands still.
        await #expect(throws: RetryError.self) { try await pipeline.run { throw Failure() } }
        await #expect(throws: RateLimitError.self) { try await pipeline.run {} }
        await #expect(throws: TimeoutError.self) {
            try await timeout.run {
                clock.advance(by: .seconds(5))
                try await ManualClock().sleep(for: .seconds(1))
            }
        }
        #expect(breaker.state == .open(remaining: .seconds(25)))
        blocker.release()
        #expect(await breakerEvents.wait(for: 1) == [.opened(generation: 2, for: .seconds(30))])
        #expect(await records.wait(for: 2).map(\.outcome) == [.failure, .ignored])
        #expect(await retryEvents.wait(for: 2).count >= 2)
        await limiterEvents.wait(for: 1)
        await timeoutEvents.wait(for: 1)
    }

    @Test("INV-37: classifications, results' judges and clocks may call back into the policy that asks them")
    func reentrant() async throws {
        struct ReentrantClock: Clock {
            let base = ManualClock()
            let callBack: @Sendable () -> Void
            var now: ManualClock.Instant {
                callBack()
                return base.now
            }
            var minimumResolution: Duration { base.minimumResolution }
            func sleep(until deadline: ManualClock.Instant, tolerance: Duration?) async throws {
                try await base.sleep(until: deadline, tolerance: tolerance)
            }
        }
        let held = Lock<Breaker?>(nil)
        let uses = Counter()
        @Sendable func useBreaker() {
            // Taken out for the time of its use, which reads the clock and would come here again without end.
            guard let breaker = held.withLock({ $0.take() }) else { return }
            uses.increment()
            _ = breaker.configuration
            _ = breaker.state
            if let permit = try? breaker.acquire() { permit.fail() }
            held.withLock { $0 = breaker }
        }
        let breaker = Breaker(
            BreakerConfiguration(trip: .consecutiveFailures(100)),
            classify: { _ in
                useBreaker()
                return .failure
            },
            clock: ReentrantClock(callBack: useBreaker)
        )
        held.withLock { $0 = breaker }
        let retry = RetryPolicy(
            RetryConfiguration(.idempotent, maxAttempts: 4, backoff: .none),
            classify: { _ in
                useBreaker()
                return .retry
            },
            clock: ReentrantClock(callBack: useBreaker)
        )
        let pipeline = Pipeline("call", clock: ReentrantClock(callBack: useBreaker), observer: { _ in useBreaker() }) {
            retry
            breaker
        }
        await #expect(throws: RetryError.self) { try await pipeline.run { throw Failure() } }
        breaker.reload(BreakerConfiguration(trip: .consecutiveFailures(101)))
        #expect(breaker.state == .closed)
        #expect(uses.value > 8)
        held.withLock { $0 = nil }
    }

    @Test("a program that flushes after its last call loses no record")
    func flush() async throws {
        let records = EventRecorder<CallRecord>()
        let pipeline = Pipeline("call", observer: records.record) { Breaker(.threeFailuresInAMinute) }
        for _ in 0..<1000 { try await pipeline.run {} }
        #expect(await ObserverDelivery.flush(within: .seconds(3600)))
        #expect(records.events.count == 1000)
        #expect(records.events.allSatisfy { $0.missedBefore == 0 })
    }

    @Test("INV-37: the observer of a pipeline may run the pipeline")
    func observerCalls() async throws {
        let records = EventRecorder<CallRecord>()
        let held = Lock<Pipeline<Breaker>?>(nil)
        let pipeline = Pipeline(
            "call",
            observer: { record in
                records.record(record)
                guard records.events.count < 5, let pipeline = held.withLock({ $0 }) else { return }
                Task { try await pipeline.run {} }
            }
        ) {
            Breaker(.threeFailuresInAMinute)
        }
        held.withLock { $0 = pipeline }
        try await pipeline.run {}
        #expect(await records.wait(for: 5).count == 5)
        held.withLock { $0 = nil }
    }
}
