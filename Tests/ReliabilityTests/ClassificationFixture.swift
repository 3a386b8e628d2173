import Reliability
import ReliabilityTesting

/// Calls without backoff on a manual clock, for tests of classifications.
struct ClassificationFixture {
    let clock = ManualClock()

    func call(
        _ idempotency: Idempotency = .idempotent,
        tripCondition: TripCondition = .consecutiveFailures(3),
        classify: (@Sendable (any Error) -> (any ReliabilityError)?)? = nil,
        observer: (@Sendable (ExternalCallEvent) -> Void)? = nil
    ) -> ExternalCall {
        var configuration = ExternalCall.Configuration.externalAPI(idempotency)
        configuration.backoff = .none
        configuration.breaker.tripCondition = tripCondition
        return ExternalCall("payments", configuration, classify: classify, clock: clock, observer: observer)
    }
}
