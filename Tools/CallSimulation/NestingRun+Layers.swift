import CircuitBreaker
import Dedup
import Outbox
import RateLimiter
import Reliability
import ReliabilityCore
import ReliabilityTesting
import Retry
import Timeout

// The calls of the library's policies.

extension NestingRun {
    static let defaultValue = -1
    static let fallbackValue = -2

    /// Records that a caller who leaves may wait for a store that is down.
    func waitedForStore(_ run: Run) {
        if nesting.outage != nil, run.usesStore { run.outer.cannotBeInterruptedByCaller(until: now) }
    }

    func perform(_ run: Run, _ inside: @escaping @Sendable (Attempt) async throws -> Int) async throws -> Int {
        defer { waitedForStore(run) }
        switch run.layer {
        case .timeout(let limit):
            return try await withTimeout(limit, clock: clock) { try await attempt(run, inside) }
        case .movedTimeout(let limit, let wait, let new):
            return try await withTimeout(limit, clock: clock) { deadline in
                try await attempt(run) { attempt in
                    try await clock.sleep(for: latency(wait))
                    if deadline.reset(after: new) { run.ownDeadline = now + Int64(new / .nanoseconds(1)) }
                    return try await inside(attempt)
                }
            }
        case .timeoutOrDefault(let limit):
            return try await withTimeout(limit, default: NestingRun.defaultValue, clock: clock) {
                try await attempt(run, inside)
            }
        case .abandoning(let limit, let grace):
            return try await withAbandoningTimeout(
                limit,
                grace: grace,
                abandoned: abandonedOperations,
                clock: clock,
                disposing: { self.disposedValues.append((run, $0)) },
                operation: {
                    let value = try await self.attempt(run, inside)
                    if run.end != nil { self.lateValues.append((run, value)) }
                    return value
                }
            )
        case .hedge(let delay):
            let hedge = Hedger(Hedger.Configuration(.fixed(delay)), clock: clock)
            return try await hedge.run { _ in try await self.attempt(run, inside) }
        case .dedup(let key):
            let result = try await deduplicator.run("charge", ["owner", "\(key)"]) { _ in
                String(try await attempt(run, inside))
            }
            return Int(result.value) ?? 0
        case .fallback:
            return try await Fallback(.value(NestingRun.fallbackValue)).run { try await attempt(run, inside) }.value
        case .fallbackTo(let call):
            let source = Fallback<Int>.Answer.source { try await self.askSource(call, run) }
            return try await Fallback(source, .value(NestingRun.fallbackValue)).run { try await attempt(run, inside) }
                .value
        case .external(let idempotency):
            return try await externalCall().run(idempotency) { try await attempt(run, inside) }
        case .outbox:
            return try await outbox().deliver(run, inside)
        case .pipeline(let layers):
            return try await attempt(run) { attempt in
                let chain = PolicyChain(self, layers, in: attempt)
                return try await Pipeline("nested") { chain }.run { try await inside(chain.innermost) }
            }
        case .retry, .breaker, .limiter, .bulkhead:
            return try await policy(run.layer).run { try await attempt(run, inside) }
        }
    }

    /// Makes the call of a fallback's source.
    private func askSource(_ call: Call, _ run: Run) async throws -> Int {
        expect(
            now < run.outer.expiry,
            .boundsAttempts,
            "\(run.layer.source) asked its source after the deadline"
        )
        let value = try await make(call, in: Attempt(of: run, number: 1, at: moment()))
        run.sourceValue = value
        return value
    }

    /// The policy of a layer that may stand in a pipeline.
    func policy(_ layer: Layer) -> any CallPolicy {
        switch layer {
        case .timeout(let limit):
            return TimeoutPolicy(.limit(limit), clock: clock)
        case .retry(let idempotency, let attempts, let wait, let rejectionWait):
            let backoff = Backoff.constant(wait, jitter: .none)
            return RetryPolicy(
                RetryPolicy.Configuration(
                    idempotency,
                    maxAttempts: attempts,
                    backoff: backoff,
                    throttledBackoff: backoff,
                    maxRejectionWait: rejectionWait
                ),
                clock: clock,
                randomness: SeededGenerator(seed: nesting.seed)
            )
        case .breaker(let number):
            return breakers[number]
        case .limiter(let number):
            return limiters[number]
        case .bulkhead(let number):
            return bulkheads[number]
        default:
            preconditionFailure("\(layer) is not a policy of a pipeline")
        }
    }
}
