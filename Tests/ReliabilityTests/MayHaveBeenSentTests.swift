import Reliability
import ReliabilityTesting
import TestSupport
import Testing

@Suite("Calls that may have been sent")
struct MayHaveBeenSentTests {
    /// A rejection inside an operation after the operation has sent something.
    enum Rejection: CaseIterable {
        case limit, abandoningLimit, breaker, limiter, pipeline, retry, hedge, custom, retryThatSentNothing
    }

    @Test(
        "a call that is not idempotent is sent once, regardless of later rejections from inside",
        arguments: Rejection.allCases,
        [true, false]
    )
    func sentOnce(_ rejection: Rejection, hasLimit: Bool) throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let open = Breaker(
                Breaker.Configuration(tripCondition: .consecutiveFailures(1), openDuration: .nanoseconds(1)),
                clock: clock
            )
            let spent = Limiter(
                .gcra(1, per: .milliseconds(500)),
                keyspace: "calls",
                store: InMemoryStore(clock: clock),
                storeFailure: .failClosed(),
                clock: clock
            )
            let sent = ConcurrencyCounter()
            let operation: @Sendable () async throws -> Void = {
                sent.increment()
                // Longer than the attempt's limit, if there is a limit.
                await simulation.sleepIgnoringCancellation(for: .milliseconds(150))
                let nested: @Sendable () async throws -> Void = {}
                switch rejection {
                case .limit: try await withTimeout(.nanoseconds(-1), clock: clock, operation: nested)
                case .abandoningLimit:
                    try await withAbandoningTimeout(
                        .zero,
                        grace: .zero,
                        abandoned: AbandonedOperations(maxCount: 1),
                        clock: clock,
                        operation: nested
                    )
                case .breaker:
                    try? await open.run { throw TestError() }
                    try await open.run(nested)
                case .limiter:
                    _ = try? await spent.consume(["ann"])
                    try await spent.consume(["ann"])
                case .pipeline:
                    try? await open.run { throw TestError() }
                    try await Pipeline { open }.run(nested)
                case .retry:
                    try? await open.run { throw TestError() }
                    try await RetryPolicy(.idempotent(maxAttempts: 1)).run { try await open.run(nested) }
                case .hedge:
                    try? await open.run { throw TestError() }
                    try await Hedger(Hedger.Configuration(.fixed(.seconds(1)))).run { _ in try await open.run(nested) }
                case .custom: throw TestRejection(retryAfter: .zero)
                case .retryThatSentNothing:
                    // Outside of the call context, the retry makes all of its attempts after the deadline.
                    try await withoutCallContext {
                        try await Task(executorPreference: TimeSource(clock).taskExecutor) {
                            try await RetryPolicy(
                                RetryPolicy.Configuration(.idempotent, maxAttempts: 2, backoff: .none),
                                clock: clock
                            )
                            .run { throw NotSentError(TestError()) }
                        }
                        .value
                    }
                }
            }
            let retry = RetryPolicy(
                RetryPolicy.Configuration(.notIdempotent, maxAttempts: 3, backoff: .none),
                classify: { _ in .retry },
                clock: clock
            )
            if hasLimit {
                let pay = Pipeline("pay") {
                    retry
                    TimeoutPolicy(.milliseconds(100), clock: clock)
                }
                try? await pay.run(operation)
            } else {
                try? await retry.run(operation)
            }
            simulation.expect(sent.value == 1, "the call was sent \(sent.value) times")
        }
    }

    @Test("a rejection by the pipeline before the start of the operation permits a retry")
    func rejectedByPipeline() throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let limiter = Limiter(
                .gcra(1, per: .seconds(1)),
                keyspace: "calls",
                store: InMemoryStore(clock: clock),
                storeFailure: .failClosed(),
                clock: clock
            )
            _ = try await limiter.consume(["ann"])
            let sent = ConcurrencyCounter()
            let pay = Pipeline("pay", clock: clock) {
                RetryPolicy(
                    RetryPolicy.Configuration(
                        .notIdempotent,
                        maxAttempts: 3,
                        backoff: .none,
                        maxRejectionWait: .seconds(5)
                    ),
                    classify: { _ in .retryAfter(.seconds(1)) },
                    clock: clock
                )
                limiter.policy(for: ["ann"])
            }
            try await pay.run { _ = sent.increment() }
            simulation.expect(sent.value == 1, "the call was sent \(sent.value) times")
            // The limiter admits the first attempt, which starts the operation.
            try await clock.sleep(for: .seconds(9))
            try? await pay.run {
                sent.increment()
                throw TestRejection(retryAfter: .zero)
            }
            simulation.expect(sent.value == 2, "the call was sent \(sent.value - 1) times")
        }
    }
}
