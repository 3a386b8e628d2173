internal import CircuitBreaker
internal import RateLimiter
internal import ReliabilityCore
internal import Retry
internal import Timeout

/// What the calls of an ``ExternalCall`` run under until the next reload.
@usableFromInline
final class ExternalCallPlan: Sendable {
    @usableFromInline typealias Policies = NestedPolicy<
        NestedPolicy<NestedPolicy<NestedPolicy<TimeoutPolicy, OptionalPolicy<LimiterPolicy>>, RetryPolicy>, Breaker>,
        TimeoutPolicy
    >

    let configuration: ExternalCallConfiguration
    @usableFromInline let pipeline: Pipeline<Policies>
    private let other: Pipeline<Policies>

    init(_ configuration: ExternalCallConfiguration, idempotent: Pipeline<Policies>, notIdempotent: Pipeline<Policies>)
    {
        self.configuration = configuration
        let isIdempotent = configuration.idempotency == .idempotent
        (pipeline, other) = isIdempotent ? (idempotent, notIdempotent) : (notIdempotent, idempotent)
    }

    @usableFromInline
    func pipeline(_ idempotency: Idempotency) -> Pipeline<Policies> {
        idempotency == configuration.idempotency ? pipeline : other
    }
}

extension ExternalCallConfiguration {
    var breaker: BreakerConfiguration {
        BreakerConfiguration(trip: breakerTrip, openFor: breakerOpenFor)
    }

    /// The policies of a configuration without problems.
    func policies(
        _ idempotency: Idempotency,
        _ rateLimit: LimiterPolicy?,
        _ breaker: Breaker,
        _ budget: RetryBudget,
        _ map: (@Sendable (any Error) -> (any ReliabilityError)?)?,
        clock: some Clock<Duration>,
        randomness: some RandomNumberGenerator & Sendable
    ) -> ExternalCallPlan.Policies {
        let retry = RetryConfiguration(
            idempotency,
            maxAttempts: maxAttempts,
            backoff: .exponential(initial: firstWait, cap: longestWait),
            // A longer wait than the whole call may take cannot be waited for.
            maximumRetryAfter: totalLimit,
            rethrowsLastError: rethrowsLastError
        )
        return Pipeline {
            TimeoutPolicy(totalLimit, clock: clock)
            if let rateLimit { rateLimit }
            RetryPolicy(retry, map: map, budget: budget, clock: clock, randomness: randomness)
            breaker
            TimeoutPolicy(attemptLimit, clock: clock)
        }.policies
    }
}
