import Reliability
import ReliabilityTesting
import Testing

@Suite("ManualClock under a pipeline")
struct ManualClockPipelineTests {
    @Test(
        "an advance past the limits of the attempts is rejected"
    )
    func jump() async throws {
        let result = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let clock = ManualClock()
            let pipeline = Pipeline("payments", clock: clock) {
                TimeoutPolicy(.seconds(8), clock: clock)
                RetryPolicy(RetryPolicy.Configuration(.idempotent, maxAttempts: 3), clock: clock)
                TimeoutPolicy(.milliseconds(2500), clock: clock)
            }
            let call = Task { try await pipeline.run { try await clock.sleep(for: .seconds(60)) } }
            await clock.advance(by: .seconds(8), whenSleeping: 3)
            _ = await call.result
        }
        let text = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(text.contains("past sleepers at 2.5 s and at 8 s"))
    }

    @Test("the same call in a simulation makes every attempt")
    func simulation() throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let clock = simulation.clock
            let attempts = ConcurrencyCounter()
            let pipeline = Pipeline("payments", clock: clock) {
                TimeoutPolicy(.seconds(8), clock: clock)
                RetryPolicy(RetryPolicy.Configuration(.idempotent, maxAttempts: 3), clock: clock)
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
