import Reliability
import ReliabilityStoreTesting
import ReliabilityTesting
import TestSupport
import Testing

@Suite("Rejections by policies")
struct PolicyRejectionTests {
    private let clock = ManualClock()

    /// A rejection of each kind that the policies can throw.
    private func rejections() async -> [any ReliabilityError] {
        let breaker = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(1)), clock: clock)
        let limiter = Limiter(
            .fixedWindow(1, per: .seconds(60)),
            keyspace: "calls",
            store: InMemoryStore(clock: clock),
            storeFailure: .failClosed()
        )
        let dead = Limiter(
            .fixedWindow(1, per: .seconds(60)),
            keyspace: "calls",
            store: FaultInjectingStore(InMemoryStore(clock: clock), faults: { _ in .reject(.unavailable) }),
            storeFailure: .failClosed()
        )
        var rejections: [any ReliabilityError] = []
        func collect(_ operation: () async throws -> Void) async {
            do { try await operation() } catch {
                if let error = error as? any ReliabilityError, error.isRejection { rejections.append(error) }
            }
        }
        await collect { try await breaker.run { throw TestError() } }
        await collect { try await breaker.run {} }
        for _ in 0..<2 { await collect { try await limiter.consume(["ann"]) } }
        await collect { try await limiter.consume(["ann"], cost: 2) }
        await collect { try await limiter.consume(["ann"], cost: 0) }
        await collect { try await dead.consume(["ann"]) }
        await collect {
            try await withTimeout(.seconds(1), clock: clock) {
                clock.advance(by: .seconds(1))
                await collect { try await withTimeout(.seconds(1), clock: clock) {} }
            }
        }
        await collect {
            let hedge = Hedger(
                Hedger.Configuration(.fixed(.seconds(1))),
                classify: { _ in .retry },
                clock: clock
            )
            try await hedge.run { _ in try await breaker.run {} }
        }
        await collect { try await afterAbandoning { try await breaker.run {} } }
        return rejections
    }

    /// Makes a call while an abandoned operation still runs and no other operation may be abandoned.
    private func afterAbandoning(_ operation: @escaping @Sendable () async throws -> Void) async throws {
        let abandoned = AbandonedOperations(maxCount: 1)
        let (stream, end) = AsyncStream.makeStream(of: Void.self)
        defer { end.finish() }
        let task = Task {
            try await withAbandoningTimeout(.seconds(1), grace: .zero, abandoned: abandoned, clock: clock) {
                // The limit does not cancel an unstructured task.
                await Task { for await _ in stream {} }.value
            }
        }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(1))
        _ = await task.result
        try await withAbandoningTimeout(
            .seconds(1),
            grace: .zero,
            abandoned: abandoned,
            clock: clock,
            operation: operation
        )
    }

    @Test("each rejection has its own code and reports whether the call may have been sent")
    func all() async {
        let codes = await rejections().map(\.code.rawValue)
        #expect(
            codes == [
                "circuit_breaker.open", "rate_limit.exceeded", "rate_limit.never_satisfiable",
                "rate_limit.invalid_cost", "rate_limit.store_unavailable", "timeout.expired",
                "hedge.exhausted", "timeout.too_many_abandoned",
            ]
        )
        for rejection in await rejections() {
            // These errors describe operations that had started.
            let hasBegun = rejection is RetryError || rejection is HedgeError
            #expect(rejection.mayHaveBeenSent == hasBegun, "\(rejection)")
        }
    }

    @Test("an outer breaker counts no rejection, regardless of the classification")
    func breaker() async throws {
        for trip in [
            TripCondition.consecutiveFailures(1), .failures(1, within: .seconds(60)),
            .failureRate(0.5, minCalls: 1, within: .seconds(60)),
        ] {
            let breaker = Breaker(Breaker.Configuration(tripCondition: trip), classify: { _ in .failure }, clock: clock)
            for rejection in await rejections() {
                for _ in 0..<5 { _ = try? await breaker.run { throw rejection } }
                #expect(breaker.state == .closed, "\(rejection)")
            }
        }
        // If the rejections counted as calls, this failure would be below the rate.
        let rate = Breaker(
            Breaker.Configuration(tripCondition: .failureRate(1, minCalls: 1, within: .seconds(60))),
            clock: clock
        )
        for rejection in await rejections() { _ = try? await rate.run { throw rejection } }
        _ = try? await rate.run { throw TestError() }
        #expect(rate.state == .open(remaining: .seconds(30)))
    }

    @Test("a rejected probe releases its place and neither closes nor opens the breaker")
    func probe() async throws {
        for rejection in await rejections() {
            let breaker = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(1)), clock: clock)
            _ = try? await breaker.run { throw TestError() }
            clock.advance(by: .seconds(30))
            for _ in 0..<3 {
                _ = try? await breaker.run { throw rejection }
                #expect(breaker.state == .halfOpen)
            }
            try await breaker.run {}
            #expect(breaker.state == .closed)
        }
    }

    @Test("a rejection ends a retried call immediately and is thrown unchanged")
    func failsFast() async {
        for rejection in await rejections() {
            let calls = ConcurrencyCounter()
            do {
                try await RetryPolicy(.idempotent(maxAttempts: 5), clock: clock).run {
                    calls.increment()
                    throw rejection
                }
            } catch {
                #expect((error as? any ReliabilityError)?.code == rejection.code)
                #expect(type(of: error) == type(of: rejection))
            }
            #expect(calls.value == 1, "\(rejection)")
        }
    }

    @Test("a retry does not wait for a breaker that opens inside a hedge")
    func openBreakerInHedge() async throws {
        let breaker = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(1)), clock: clock)
        let hedge = Hedger(Hedger.Configuration(.fixed(.seconds(1))), clock: clock)
        let calls = ConcurrencyCounter()
        let error = await #expect(throws: RetryError.self) {
            try await RetryPolicy(RetryPolicy.Configuration(.idempotent, backoff: .none), clock: clock).run {
                try await hedge.run { _ in
                    try await breaker.run {
                        calls.increment()
                        throw TestError()
                    }
                }
            }
        }
        // The first attempt ends with a failure and a rejection, and the second attempt with a rejection.
        #expect(error?.attempts.count == 2 && error?.lastError is BreakerOpenError)
        #expect(calls.value == 1 && clock.sleeperCount == 0)
    }

    @Test("two thousand callers of an open breaker fail without a wait, and a report has the breaker's code")
    func openBreakerInRetry() async throws {
        let breaker = Breaker(
            Breaker.Configuration(tripCondition: .consecutiveFailures(1), openDuration: .seconds(1)),
            clock: clock
        )
        _ = try? await breaker.run { throw TestError() }
        let reports = EventRecorder<CallReport>()
        let pipeline = Pipeline("payments", clock: clock, observer: reports.record) {
            TimeoutPolicy(.seconds(8), clock: clock)
            RetryPolicy(.idempotent, clock: clock)
            breaker
        }
        await withTaskGroup { group in
            for _ in 0..<2000 {
                group.addTask { await #expect(throws: BreakerOpenError.self) { try await pipeline.run {} } }
            }
        }
        #expect(clock.sleeperCount == 0)
        let report = try #require(await reports.wait(for: 1).first)
        #expect(report.codes == ["circuit_breaker.open"])
        #expect(report.description.contains("circuit_breaker.open: the breaker rejects calls for another 1 s"))
    }

    @Test("a retry waits for a rejection if that is configured and fits before the deadline")
    func waitedFor() async throws {
        let configuration = RetryPolicy.Configuration(
            .notIdempotent,
            maxAttempts: 2,
            backoff: .none,
            maxRejectionWait: .seconds(60)
        )
        for limit in [Duration.seconds(31), .seconds(30)] {
            let breaker = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(1)), clock: clock)
            _ = try? await breaker.run { throw TestError() }
            let calls = ConcurrencyCounter()
            let pipeline = Pipeline {
                TimeoutPolicy(.limit(limit), clock: clock)
                RetryPolicy(configuration, clock: clock)
                breaker
            }
            let task = Task { try await pipeline.run { calls.increment() } }
            if limit == .seconds(31) {
                await clock.waitForSleepers(2)
                clock.advance(by: .seconds(30))
                #expect(try await task.value == 1)
            } else {
                // The call does not wait, so the clock does not move.
                await #expect(throws: BreakerOpenError.self) { try await task.value }
                #expect(calls.value == 0)
            }
        }
    }

    /// A policy that rejects every call.
    private struct RejectingPolicy: CallPolicy {
        var layers: [PolicyLayer] { [PolicyLayer(.other, "rejects")] }

        nonisolated(nonsending) func run<Success>(
            _ operation: nonisolated(nonsending) () async throws -> Success
        ) async throws -> Success {
            throw TestRejection(.rateLimited, retryAfter: .zero)
        }
    }

    @Test("a call whose operation never started throws the last rejection, and any other call throws RetryError")
    func onlyRejections() async {
        for idempotency in [Idempotency.idempotent, .notIdempotent] {
            let configuration = RetryPolicy.Configuration(
                idempotency,
                maxAttempts: 3,
                backoff: .none,
                maxRejectionWait: .seconds(1)
            )
            let retry = RetryPolicy(configuration, clock: clock)
            await #expect(throws: TestRejection.self) {
                try await Pipeline {
                    retry
                    RejectingPolicy()
                }.run {}
            }
            guard idempotency == .idempotent else { continue }
            let sent = await #expect(throws: RetryError.self) {
                try await Pipeline { retry }.run { try await RejectingPolicy().run {} }
            }
            #expect(sent?.attemptCount == 3 && sent?.mayHaveBeenSent == true)
        }
    }

    @Test("a cancelled caller gets no rejection after an earlier attempt that may have been sent")
    func cancelledCaller() async {
        let task = Task { [clock] in
            var attempts = 0
            try await RetryPolicy(
                RetryPolicy.Configuration(.idempotent, maxAttempts: 3, backoff: .none),
                clock: clock
            )
            .run {
                attempts += 1
                if attempts == 1 { throw TestError() }
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                try await RejectingPolicy().run {}
            }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test("the report of a rejected call has the outcome ignored")
    func reports() async throws {
        for rejection in await rejections() {
            let reports = EventRecorder<CallReport>()
            _ = try? await Pipeline(observer: reports.record) { FakePolicy.retry(1) }.run { throw rejection }
            #expect(await reports.wait(for: 1).map(\.outcome) == [.ignored])
        }
    }
}
