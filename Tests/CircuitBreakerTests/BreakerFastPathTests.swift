import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import CircuitBreaker

@Suite("Breaker: fast path")
struct BreakerFastPathTests {
    /// A clock that counts its readings.
    private struct CountingClock: Clock {
        let manual: ManualClock
        let readings: ConcurrencyCounter
        var now: ManualClock.Instant {
            readings.increment()
            return manual.now
        }
        var minimumResolution: Duration { manual.minimumResolution }
        func sleep(until deadline: ManualClock.Instant, tolerance: Duration?) async throws {
            try await manual.sleep(until: deadline, tolerance: tolerance)
        }
    }

    @Test("a success that changes nothing reads no clock")
    func noClock() async throws {
        let readings = ConcurrencyCounter()
        let clock = CountingClock(manual: ManualClock(), readings: readings)
        for trip in [TripCondition.consecutiveFailures(2), .failures(3, within: .seconds(60))] {
            let breaker = Breaker(Breaker.Configuration(tripCondition: trip), clock: clock)
            let before = readings.value
            for _ in 0..<10 { try await breaker.run {} }
            try breaker.acquire().ignore()
            #expect(readings.value == before)
        }
        let counting = Breaker(
            Breaker.Configuration(tripCondition: .failureRate(1, minCalls: 9, within: .seconds(1))),
            clock: clock
        )
        let before = readings.value
        try await counting.run {}
        #expect(readings.value == before + 1)
    }

    @Test("a success resets the count of failures, and a success after a reload counts under the new rule")
    func successCounts() async throws {
        let breaker = Breaker(.consecutiveFailures(2))
        for _ in 0..<5 {
            _ = try? await breaker.run { throw TestError() }
            try await breaker.run {}
        }
        #expect(breaker.state == .closed)
        try breaker.reload(Breaker.Configuration(tripCondition: .failureRate(0.5, minCalls: 4, within: .seconds(3600))))
        for _ in 0..<3 { try await breaker.run {} }
        _ = try? await breaker.run { throw TestError() }
        #expect(breaker.state == .closed)
        for _ in 0..<2 { _ = try? await breaker.run { throw TestError() } }
        guard case .open = breaker.state else {
            Issue.record("successes were not counted")
            return
        }
    }
}
