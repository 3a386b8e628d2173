import Reliability
import ReliabilityTesting
import TestSupport
import Testing

@Suite("Hedger: composition")
struct HedgerCompositionTests {
    let clock = ManualClock()

    var hedge: Hedger { Hedger(Hedger.Configuration(.fixed(.milliseconds(50))), clock: clock) }

    @Test("a breaker around each attempt counts every failed attempt once and ignores losing attempts")
    func breakerInside() async throws {
        let hedge = hedge
        // One failure opens the breaker, so a losing attempt that counted would be visible.
        let breaker = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(1)), clock: clock)
        for _ in 0..<10 {
            let task = Task {
                try await hedge.run { attempt in
                    try await breaker.run {
                        if attempt == 1 { try await clock.sleep(for: .seconds(60)) }
                        return attempt
                    }
                }
            }
            await clock.waitForSleepers(2)
            clock.advance(by: .milliseconds(50))
            #expect(try await task.value == 2)
        }
        #expect(breaker.state == .closed)
        // Failures count once for each attempt.
        let strict = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(2)), clock: clock)
        _ = try? await hedge.run { _ -> Int in try await strict.run { throw TestError() } }
        #expect(strict.state == .open(remaining: .seconds(30)))
    }

    @Test("a timeout around the call cancels all attempts")
    func timeoutOutside() async {
        let hedge = hedge
        let calls = ConcurrencyCounter()
        let task = Task {
            try await withTimeout(.seconds(1), clock: clock) {
                try await hedge.run { attempt in
                    calls.increment()
                    try await clock.sleep(for: .seconds(60))
                    return attempt
                }
            }
        }
        await clock.waitForSleepers(3)
        clock.advance(by: .milliseconds(50))
        await clock.waitForSleepers(3)
        clock.advance(by: .milliseconds(950))
        await #expect(throws: TimeoutError.self) { try await task.value }
        #expect(calls.value == 2)
    }

    @Test("a call whose attempts were all rejected throws the rejection with its retry-after")
    func rejected() async {
        let breaker = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(1)), clock: clock)
        _ = try? await breaker.run { throw TestError() }
        let error = await #expect(throws: BreakerOpenError.self) {
            try await hedge.run { _ in try await breaker.run { 1 } }
        }
        #expect(error?.retryAfter == .seconds(30))
    }
}
