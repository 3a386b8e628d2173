import Reliability
import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@Suite("ExternalCall: hints of the dependency")
struct ExternalCallHintTests {
    @Test("the retryAfter that a classification states opens the breaker")
    func classifiedHint() async throws {
        let clock = ManualClock()
        var configuration = ExternalCall.Configuration.externalAPI(.notIdempotent)
        configuration.breaker.maxRetryAfter = .seconds(60)
        let call = ExternalCall(
            "bank",
            configuration,
            classify: { _ in TestReliabilityError(.rateLimited, retryAfter: .seconds(45)) },
            clock: clock
        )
        _ = try? await call.run { throw TestError() }
        #expect(call.breaker.state == .open(remaining: .seconds(45)))
    }
}
