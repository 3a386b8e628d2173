internal import Bulkhead
internal import CircuitBreaker
internal import RateLimiter
internal import ReliabilityCore
internal import Retry
internal import Timeout

/// The pipelines of an ``ExternalCall`` until the next reload.
@usableFromInline
final class ExternalCallPipelines: Sendable {
    @usableFromInline typealias Policies = NestedPolicy<
        NestedPolicy<
            NestedPolicy<
                NestedPolicy<NestedPolicy<TimeoutPolicy, OptionalPolicy<LimiterPolicy>>, RetryPolicy>, Breaker
            >,
            OptionalPolicy<BulkheadPolicy>
        >, TimeoutPolicy
    >

    let configuration: ExternalCall.Configuration
    @usableFromInline let pipeline: Pipeline<Policies>
    /// The pipeline for calls that state the other idempotency.
    private let alternative: Pipeline<Policies>

    init(_ configuration: ExternalCall.Configuration, idempotent: Pipeline<Policies>, notIdempotent: Pipeline<Policies>)
    {
        self.configuration = configuration
        let isIdempotent = configuration.idempotency == .idempotent
        (pipeline, alternative) = isIdempotent ? (idempotent, notIdempotent) : (notIdempotent, idempotent)
    }

    @usableFromInline
    func pipeline(_ idempotency: Idempotency) -> Pipeline<Policies> {
        idempotency == configuration.idempotency ? pipeline : alternative
    }
}

extension ExternalCall.Configuration {
    /// Returns the policies of a valid configuration.
    @PipelineBuilder
    func policies(
        _ idempotency: Idempotency,
        _ rateLimit: LimiterPolicy?,
        _ breaker: Breaker,
        _ bulkhead: BulkheadPolicy?,
        _ budget: RetryBudget,
        _ classify: (@Sendable (any Error) -> (any ReliabilityError)?)?,
        clock: some Clock<Duration>,
        randomness: some RandomNumberGenerator & Sendable
    ) -> ExternalCallPipelines.Policies {
        let retry = RetryPolicy.Configuration(
            idempotency,
            maxAttempts: maxAttempts,
            backoff: backoff,
            // A wait longer than the whole call cannot end in time.
            maxRetryAfter: totalTimeout,
            rethrowsLastError: rethrowsLastError
        )
        TimeoutPolicy(.limit(totalTimeout), clock: clock)
        if let rateLimit { rateLimit }
        RetryPolicy(retry, budget: budget, classifyForeign: classify, clock: clock, randomness: randomness)
        breaker
        if let bulkhead { bulkhead }
        TimeoutPolicy(.limit(attemptTimeout), clock: clock)
    }
}
