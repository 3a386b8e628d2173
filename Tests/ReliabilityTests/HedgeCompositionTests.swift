import Reliability
import ReliabilityTesting
import Testing

@Suite("HedgePolicy and other policies")
struct HedgeCompositionTests {
    private struct Failure: Error {}

    let clock = ManualClock()

    var hedge: HedgePolicy { HedgePolicy(HedgeConfiguration(after: .fixed(.milliseconds(50))), clock: clock) }

    @Test("INV-28: a breaker around each attempt counts every attempt once, and losers as ignored")
    func breakerInside() async throws {
        let hedge = hedge
        // One failure opens it, so that a loser that counted would be seen.
        let breaker = Breaker(BreakerConfiguration(trip: .consecutiveFailures(1)), clock: clock)
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
        // And what fails does count, once for each attempt.
        let strict = Breaker(BreakerConfiguration(trip: .consecutiveFailures(2)), clock: clock)
        _ = try? await hedge.run { _ -> Int in try await strict.run { throw Failure() } }
        #expect(strict.state == .open(remaining: .seconds(30)))
    }

    @Test("a timeout around the call cancels all attempts and is no answer of theirs")
    func timeoutOutside() async {
        let hedge = hedge
        let calls = Counter()
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

    @Test("the whole call fails when every attempt was refused, and the refusal's time is handed on")
    func refused() async {
        let breaker = Breaker(BreakerConfiguration(trip: .consecutiveFailures(1)), clock: clock)
        _ = try? await breaker.run { throw Failure() }
        let error = await #expect(throws: BreakerOpenError.self) {
            try await hedge.run { _ in try await breaker.run { 1 } }
        }
        #expect(error?.retryAfter == .seconds(30))
    }
}
