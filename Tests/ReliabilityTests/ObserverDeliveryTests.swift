import Reliability
import ReliabilityTesting
import TestSupport
import Testing

@Suite("ObserverDelivery", .serialized)
struct ObserverDeliveryTests {
    @Test("a blocked observer delays no call and receives every event in order afterwards")
    func blockingObservers() async throws {
        let gate = ThreadGate()
        let isFirst = Lock(true)
        @Sendable func blockOnce() {
            let mustBlock = isFirst.withLock { isFirst in
                defer { isFirst = false }
                return isFirst
            }
            if mustBlock { gate.pass() }
        }
        let (breakerEvents, retryEvents) = (EventRecorder<BreakerEvent>(), EventRecorder<RetryEvent>())
        let (limiterEvents, reports) = (EventRecorder<LimiterEvent>(), EventRecorder<CallReport>())
        let timeoutEvents = EventRecorder<TimeoutEvent>()
        let clock = ManualClock()
        let breaker = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(2)), clock: clock) { event in
            blockOnce()
            breakerEvents.record(event)
        }
        let retry = RetryPolicy(
            RetryPolicy.Configuration(.idempotent, maxAttempts: 3, backoff: .none),
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
            storeFailure: .failClosed(),
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
            observer: { report in
                blockOnce()
                reports.record(report)
            }
        ) {
            limiter.policy(for: ["ann"])
            retry
            breaker
        }
        // These calls end while an observer is blocked.
        await #expect(throws: RetryError.self) { try await pipeline.run { throw TestError() } }
        await #expect(throws: LimiterError.self) { try await pipeline.run {} }
        await #expect(throws: TimeoutError.self) {
            try await timeout.run {
                clock.advance(by: .seconds(5))
                try await ManualClock().sleep(for: .seconds(1))
            }
        }
        #expect(breaker.state == .open(remaining: .seconds(25)))
        gate.open()
        #expect(await breakerEvents.wait(for: 1) == [.opened(generation: 2, for: .seconds(30))])
        #expect(await reports.wait(for: 2).map(\.outcome) == [.failure, .ignored])
        #expect(await retryEvents.wait(for: 2).count >= 2)
        await limiterEvents.wait(for: 1)
        await timeoutEvents.wait(for: 1)
    }

    @Test("a flush after the last call delivers every report")
    func flush() async throws {
        let reports = EventRecorder<CallReport>()
        let pipeline = Pipeline("call", observer: reports.record) { Breaker(.failures(3, within: .seconds(60))) }
        for _ in 0..<1000 { try await pipeline.run {} }
        #expect(await ObserverDelivery.flush(within: .seconds(3600)))
        #expect(reports.events.count == 1000)
        #expect(reports.events.allSatisfy { $0.missedBefore == 0 })
    }

    @Test("the observer of a pipeline may run the pipeline")
    func observerCalls() async throws {
        let reports = EventRecorder<CallReport>()
        let held = Lock<Pipeline<Breaker>?>(nil)
        let pipeline = Pipeline(
            "call",
            observer: { report in
                reports.record(report)
                guard reports.events.count < 5, let pipeline = held.withLock({ $0 }) else { return }
                Task { try await pipeline.run {} }
            }
        ) {
            Breaker(.failures(3, within: .seconds(60)))
        }
        held.withLock { $0 = pipeline }
        try await pipeline.run {}
        #expect(await reports.wait(for: 5).count == 5)
        held.withLock { $0 = nil }
    }
}
