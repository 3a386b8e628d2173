import Reliability
import ReliabilityTesting
import Testing

@Suite("A manual clock under a pipeline")
struct ManualClockMisuseTests {
    @Test("a jump to the total limit is refused: it would pass the attempts, and a test of the fallback would be green")
    func jump() async throws {
        let result = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let clock = ManualClock()
            let pipeline = Pipeline("payments", clock: clock) {
                TimeoutPolicy(.seconds(8), clock: clock)
                RetryPolicy(RetryConfiguration(.idempotent, maxAttempts: 3), clock: clock)
                TimeoutPolicy(.milliseconds(2500), clock: clock)
            }
            let call = Task { try await pipeline.run { try await clock.sleep(for: .seconds(60)) } }
            await clock.advance(by: .seconds(8), whenSleeping: 3)
            _ = await call.result
        }
        let text = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(text.contains("past those that sleep until 2.5 s and those that sleep until 8 s"))
    }

    @Test("the same in a simulation makes the attempts, whatever the seed")
    func simulation() throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let clock = simulation.clock
            let attempts = Counter()
            let pipeline = Pipeline("payments", clock: clock) {
                TimeoutPolicy(.seconds(8), clock: clock)
                RetryPolicy(RetryConfiguration(.idempotent, maxAttempts: 3), clock: clock)
                TimeoutPolicy(.milliseconds(2500), clock: clock)
            }
            let result: Void? = try? await pipeline.run {
                attempts.increment()
                try await clock.sleep(for: .seconds(60))
            }
            simulation.expect(result == nil && attempts.value == 3, "\(attempts.value) attempts")
        }
    }
}
