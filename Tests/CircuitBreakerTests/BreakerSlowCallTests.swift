import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import CircuitBreaker

@Suite("Breaker: slow calls")
struct BreakerSlowCallTests {
    private let clock = ManualClock()

    private func breaker(_ trip: TripCondition, probes: Int = 1) -> Breaker {
        Breaker(
            Breaker.Configuration(tripCondition: trip, openDuration: .seconds(10), probes: probes),
            clock: clock
        )
    }

    /// Makes a call that takes a time.
    private func call(_ breaker: Breaker, lasting duration: Duration, fails: Bool = false) async {
        _ = try? await breaker.run {
            clock.advance(by: duration)
            if fails { throw TestError() }
        }
    }

    private let slow = TripCondition.slowCallRate(0.5, slowerThan: .seconds(2), minCalls: 10, within: .seconds(60))

    @Test("ten hanging calls open the breaker for the eleventh caller before the first of them ends")
    func hanging() throws {
        for trip in [
            slow, .slowCallRate(0.5, slowerThan: .seconds(2), minCalls: 10, ofLast: 10),
            .slowOrFailedRate(0.5, slowerThan: .seconds(2), minCalls: 10, within: .seconds(60)),
            .slowOrFailedRate(0.5, slowerThan: .seconds(2), minCalls: 10, ofLast: 10),
        ] {
            let breaker = breaker(trip)
            let hanging = try (0..<10).map { _ in try Held(breaker) }
            clock.advance(by: .seconds(2))
            try breaker.acquire().ignore()
            #expect(breaker.state == .closed, "no call has run longer than the threshold")
            clock.advance(by: .milliseconds(200))
            let error = #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
            #expect(error?.retryAfter == .seconds(10))
            #expect(breaker.state == .open(remaining: .seconds(10)))
            for call in hanging { call.settle(.failure) }
            #expect(breaker.state == .open(remaining: .seconds(10)))
        }
    }

    @Test("nine hanging calls below the minimum do not open the breaker, and an ended call completes the minimum")
    func minimum() async throws {
        let breaker = breaker(slow)
        let hanging = try (0..<9).map { _ in try Held(breaker) }
        clock.advance(by: .seconds(3))
        try breaker.acquire().succeed()
        #expect(breaker.state.isOpen)
        for call in hanging { call.settle(.success) }
    }

    @Test("a call that counted as slow while it ran counts once at its end")
    func once() throws {
        let breaker = breaker(slow)
        let hanging = try (0..<4).map { _ in try Held(breaker) }
        clock.advance(by: .seconds(3))
        #expect(breaker.snapshot.runningSlowCalls == 4)
        #expect(breaker.snapshot.slowCallRate == Breaker.Snapshot.Counts(calls: 0, hits: 0))
        for call in hanging { call.settle(.success) }
        #expect(breaker.snapshot.runningSlowCalls == 0)
        #expect(breaker.snapshot.slowCallRate == Breaker.Snapshot.Counts(calls: 4, hits: 4))
    }

    @Test("a call is slow above the threshold and not at the threshold")
    func threshold() async {
        let breaker = breaker(.slowCallRate(1, slowerThan: .seconds(2), minCalls: 100, ofLast: 100))
        await call(breaker, lasting: .seconds(2))
        #expect(breaker.snapshot.slowCallRate == Breaker.Snapshot.Counts(calls: 1, hits: 0))
        await call(breaker, lasting: .seconds(2) + .nanoseconds(1))
        #expect(breaker.snapshot.slowCallRate == Breaker.Snapshot.Counts(calls: 2, hits: 1))
    }

    @Test("slow and failed calls count together, and a slow failure counts once")
    func together() async {
        let trip = TripCondition.slowOrFailedRate(0.5, slowerThan: .seconds(2), minCalls: 4, ofLast: 4)
            .or(.slowCallRate(1, slowerThan: .seconds(2), minCalls: 4, ofLast: 4))
            .or(.failureRate(1, minCalls: 4, ofLast: 4))
        let breaker = breaker(trip)
        await call(breaker, lasting: .zero)
        await call(breaker, lasting: .zero)
        await call(breaker, lasting: .seconds(3), fails: true)
        #expect(breaker.snapshot.slowOrFailedRate == Breaker.Snapshot.Counts(calls: 3, hits: 1))
        #expect(breaker.snapshot.slowCallRate == Breaker.Snapshot.Counts(calls: 3, hits: 1))
        #expect(breaker.snapshot.failureRate == Breaker.Snapshot.Counts(calls: 3, hits: 1))
        await call(breaker, lasting: .zero, fails: true)
        #expect(breaker.state.isOpen)
    }

    @Test("a window of the last calls forgets the oldest call", arguments: [1, 3, 64, 65, 100])
    func lastCalls(capacity: Int) {
        var generator = SeededGenerator(seed: UInt64(capacity))
        var window = LastCalls(capacity: capacity)
        var all: [Bool] = []
        for _ in 0..<400 {
            let isHit = Bool.random(using: &generator)
            window.record(isHit: isHit)
            all.append(isHit)
            let last = all.suffix(capacity)
            #expect(window.counts == RateWindow.Counts(calls: last.count, hits: last.count { $0 }))
        }
    }

    @Test("a slow probe is a failed probe")
    func slowProbe() async {
        let breaker = breaker(slow.or(.consecutiveFailures(1)))
        await call(breaker, lasting: .zero, fails: true)
        clock.advance(by: .seconds(10))
        await call(breaker, lasting: .seconds(3))
        #expect(breaker.state == .open(remaining: .seconds(10)))
        clock.advance(by: .seconds(10))
        await call(breaker, lasting: .seconds(2))
        #expect(breaker.state == .closed)
    }

    @Test(
        "INV-5: any number of caller cancellations leaves failure rate and latency windows unchanged",
        arguments: [Duration.zero, .seconds(30)]
    )
    func cancellations(duration: Duration) async {
        let trip = slow.or(.failureRate(0.5, minCalls: 1, within: .seconds(600))).or(.consecutiveFailures(1))
        let breaker = breaker(trip)
        for _ in 0..<20 {
            let task = Task {
                try await breaker.run {
                    clock.advance(by: duration)
                    unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                    throw TestError()
                }
            }
            _ = await task.result
        }
        #expect(breaker.state == .closed)
        let empty = Breaker.Snapshot.Counts(calls: 0, hits: 0)
        let snapshot = breaker.snapshot
        #expect(snapshot.failureRate == empty && snapshot.slowCallRate == empty)
        #expect(snapshot.runningSlowCalls == 0 && snapshot.consecutiveFailures == 0)
    }

    @Test("INV-18: a sample older than the window never influences a decision; after idle >= window it is empty")
    func oldSamples() async throws {
        let trip = TripCondition.slowOrFailedRate(0.5, slowerThan: .seconds(2), minCalls: 2, within: .seconds(10))
            .or(.failureRate(0.5, minCalls: 2, within: .seconds(10))).or(.failures(2, within: .seconds(10)))
        let breaker = breaker(trip)
        await call(breaker, lasting: .zero, fails: true)
        clock.advance(by: .seconds(10))
        let empty = Breaker.Snapshot.Counts(calls: 0, hits: 0)
        #expect(breaker.snapshot.slowOrFailedRate == empty && breaker.snapshot.failureRate == empty)
        #expect(breaker.snapshot.failures == 0)
        await call(breaker, lasting: .zero, fails: true)
        #expect(breaker.state == .closed)
    }

    @Test("old successes that leave the window let the running slow calls open the breaker")
    func slidingWindow() async throws {
        let breaker = breaker(
            .slowCallRate(0.5, slowerThan: .seconds(2), minCalls: 3, within: .seconds(10))
        )
        for _ in 0..<20 { await call(breaker, lasting: .zero) }
        let hanging = try (0..<3).map { _ in try Held(breaker) }
        clock.advance(by: .seconds(5))
        try breaker.acquire().ignore()
        #expect(breaker.state == .closed)
        clock.advance(by: .seconds(5))
        #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
        for call in hanging { call.settle(.ignored) }
    }

    @Test("a new threshold counts calls of the present and leaves running calls to their end")
    func reloadedThreshold() throws {
        let breaker = breaker(slow)
        func reload(_ threshold: Duration?) throws {
            try breaker.reload(
                Breaker.Configuration(
                    tripCondition: threshold.map {
                        .slowCallRate(0.5, slowerThan: $0, minCalls: 10, within: .seconds(60))
                    } ?? .consecutiveFailures(5)
                )
            )
        }
        let before = try Held(breaker)
        clock.advance(by: .seconds(3))
        #expect(breaker.snapshot.runningSlowCalls == 1)
        try reload(.seconds(4))
        #expect(breaker.snapshot.runningSlowCalls == 0)
        let after = try Held(breaker)
        clock.advance(by: .seconds(5))
        #expect(breaker.snapshot.runningSlowCalls == 1)
        before.settle(.success)
        #expect(breaker.snapshot.slowCallRate == Breaker.Snapshot.Counts(calls: 1, hits: 1))
        try reload(nil)
        #expect(breaker.snapshot.runningSlowCalls == nil)
        try reload(.seconds(1))
        after.settle(.success)
        #expect(breaker.snapshot.runningSlowCalls == 0)
        #expect(breaker.snapshot.slowCallRate == Breaker.Snapshot.Counts(calls: 1, hits: 1))
    }

    @Test("the count of running slow calls is exact to a tenth of the threshold", arguments: UInt64(0)..<20)
    func runningCalls(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let threshold = Int64.random(in: 1...2000, using: &generator)
        var calls = RunningCalls(threshold: threshold)
        var starts: [Int64] = []
        var now = Int64.random(in: -5000...5000, using: &generator)
        for _ in 0..<500 {
            now += Int64.random(in: 0...max(1, threshold / 3), using: &generator)
            if Bool.random(using: &generator) || starts.isEmpty {
                starts.append(calls.begin(now: now))
            } else {
                let start = starts.remove(at: Int.random(in: 0..<starts.count, using: &generator))
                #expect(calls.end(start: start, now: now) == (now - start > threshold), "seed \(seed)")
            }
            let most = starts.count { now - $0 > threshold }
            let least = starts.count { now - $0 > threshold + threshold / 10 + 11 }
            #expect((least...most).contains(calls.slow), "seed \(seed)")
        }
        for start in starts { _ = calls.end(start: start, now: now) }
        #expect(calls.slow == 0)
    }

    @Test("rules for slow calls report their bad values")
    func validation() {
        func problems(_ trip: TripCondition) -> [String] { TestSupport.problems(of: trip.validate) }
        #expect(
            problems(.slowCallRate(0, slowerThan: .zero, minCalls: 0, within: .zero)) == [
                "the threshold of slow calls must be positive (is 0.0 seconds)",
                "the slow-call rate must be above 0 and at most 1 (is 0.0)",
                "minCalls of the slow-call rate must be at least 1 (is 0)",
                "the window of the slow-call rate must be positive (is 0.0 seconds)",
            ]
        )
        #expect(
            problems(.slowOrFailedRate(.nan, slowerThan: .seconds(1), minCalls: 11, ofLast: 10)) == [
                "the slow-or-failed rate must be above 0 and at most 1 (is nan)",
                "minCalls of the slow-or-failed rate must be at most its number of calls, 10 (is 11)",
            ]
        )
        #expect(
            problems(.failureRate(0.5, minCalls: 1, ofLast: 10_001))
                == ["the number of calls of the failure rate must be from 1 to 10,000 (is 10001)"]
        )
        let other = TripCondition.slowOrFailedRate(0.5, slowerThan: .seconds(1), minCalls: 1, ofLast: 9)
        #expect(
            problems(slow.or(other)) == [
                "the rules for slow calls must have one threshold (two thresholds were combined)"
            ]
        )
        #expect(problems(other.or(other)).count == 1)
        #expect(slow.or(other).summary.contains("calls slower than 2 s"))
    }
}
