import Reliability
import ReliabilityTesting
import Testing

@Suite("Refusals by policies")
struct RejectionTests {
    private struct Failure: Error {}
    private let clock = ManualClock()

    /// Every refusal that the calls' policies can throw.
    private func refusals() async -> [any ReliabilityError] {
        let breaker = Breaker(BreakerConfiguration(trip: .consecutiveFailures(1)), clock: clock)
        let limiter = Limiter(
            .fixedWindow(1, per: .seconds(60)),
            keyspace: "calls",
            store: InMemoryStore(clock: clock),
            whenStoreIsDown: .closed()
        )
        let dead = Limiter(
            .fixedWindow(1, per: .seconds(60)),
            keyspace: "calls",
            store: FaultInjectingStore(InMemoryStore(clock: clock), faults: { _ in .refuse(.unavailable) }),
            whenStoreIsDown: .closed()
        )
        var refusals: [any ReliabilityError] = []
        func collect(_ operation: () async throws -> Void) async {
            do { try await operation() } catch {
                if let error = error as? any ReliabilityError, error.isRejection { refusals.append(error) }
            }
        }
        await collect { try await breaker.run { throw Failure() } }
        await collect { try await breaker.run {} }
        for _ in 0..<2 { await collect { try await limiter.require("ann") } }
        await collect { try await limiter.require("ann", cost: 2) }
        await collect { try await limiter.require("ann", cost: 0) }
        await collect { try await dead.require("ann") }
        await collect {
            try await withTimeout(.seconds(1), clock: clock) {
                clock.advance(by: .seconds(1))
                await collect { try await withTimeout(.seconds(1), clock: clock) {} }
            }
        }
        await collect {
            let hedge = HedgePolicy(
                HedgeConfiguration(after: .fixed(.seconds(1))),
                classify: { _ in .retry },
                clock: clock
            )
            try await hedge.run { _ in try await breaker.run {} }
        }
        await collect { try await leavingOneBehind { try await breaker.run {} } }
        return refusals
    }

    /// Makes a call while one that its caller has left still runs, with no room for another.
    private func leavingOneBehind(_ operation: @escaping @Sendable () async throws -> Void) async throws {
        let abandoned = AbandonedOperations(limit: 1)
        let (stream, end) = AsyncStream.makeStream(of: Void.self)
        defer { end.finish() }
        let task = Task {
            try await withAbandoningTimeout(.seconds(1), grace: .zero, abandoned: abandoned, clock: clock) {
                // A task of its own, which the limit does not cancel.
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

    @Test("there is one of each kind, and those that rejected a call say that it was not sent")
    func all() async {
        let codes = await refusals().map(\.code.rawValue)
        #expect(
            codes == [
                "circuit_breaker.open", "rate_limit.exceeded", "rate_limit.never_satisfiable",
                "rate_limit.invalid_cost", "rate_limit.store_unavailable", "timeout.expired",
                "hedge.exhausted", "timeout.too_many_abandoned",
            ]
        )
        for refusal in await refusals() {
            // These speak for operations that had begun.
            let hasBegun = refusal is RetryError || refusal is HedgeError
            #expect(refusal.mayHaveBeenSent == hasBegun, "\(refusal)")
        }
    }

    @Test("INV-38: no refusal is a failure to a breaker around it, nor a sample, whatever the classification says")
    func breaker() async throws {
        for trip in [
            BreakerTrip.consecutiveFailures(1), .failures(1, within: .seconds(60)),
            .failureRate(0.5, minimumCalls: 1, within: .seconds(60)),
        ] {
            let breaker = Breaker(BreakerConfiguration(trip: trip), classify: { _ in .failure }, clock: clock)
            for refusal in await refusals() {
                for _ in 0..<5 { _ = try? await breaker.run { throw refusal } }
                #expect(breaker.state == .closed, "\(refusal)")
            }
        }
        // Had they counted as calls, this failure would be one of many and below the rate.
        let rate = Breaker(
            BreakerConfiguration(trip: .failureRate(1, minimumCalls: 1, within: .seconds(60))),
            clock: clock
        )
        for refusal in await refusals() { _ = try? await rate.run { throw refusal } }
        _ = try? await rate.run { throw Failure() }
        #expect(rate.state == .open(remaining: .seconds(30)))
    }

    @Test("INV-38: a refused probe gives its place back, and neither closes nor opens")
    func probe() async throws {
        for refusal in await refusals() {
            let breaker = Breaker(BreakerConfiguration(trip: .consecutiveFailures(1)), clock: clock)
            _ = try? await breaker.run { throw Failure() }
            clock.advance(by: .seconds(30))
            for _ in 0..<3 {
                _ = try? await breaker.run { throw refusal }
                #expect(breaker.state == .halfOpen)
            }
            try await breaker.run {}
            #expect(breaker.state == .closed)
        }
    }

    @Test("INV-38: a rejection ends a retried call at once, whether it says when or not, and is thrown as it is")
    func failsFast() async {
        for refusal in await refusals() {
            let calls = Counter()
            do {
                try await RetryPolicy(.idempotent, maxAttempts: 5, clock: clock).run {
                    calls.increment()
                    throw refusal
                }
            } catch {
                #expect((error as? any ReliabilityError)?.code == refusal.code)
                #expect(type(of: error) == type(of: refusal))
            }
            #expect(calls.value == 1, "\(refusal)")
        }
    }

    @Test("INV-38: a breaker that opens under a hedge is not waited for by the retry around it")
    func openBreakerInHedge() async throws {
        let breaker = Breaker(BreakerConfiguration(trip: .consecutiveFailures(1)), clock: clock)
        let hedge = HedgePolicy(after: .fixed(.seconds(1)), clock: clock)
        let calls = Counter()
        let error = await #expect(throws: RetryError.self) {
            try await RetryPolicy(RetryConfiguration(.idempotent, backoff: .none), clock: clock).run {
                try await hedge.run { _ in
                    try await breaker.run {
                        calls.increment()
                        throw Failure()
                    }
                }
            }
        }
        // A failure and a rejection at first, then a rejection alone, which is the last.
        #expect(error?.attempts.count == 2 && error?.lastError is BreakerOpenError)
        #expect(calls.value == 1 && clock.sleeperCount == 0)
    }

    @Test("INV-38: two thousand callers of an open breaker fail without a wait, and a record shows the breaker's code")
    func openBreakerInRetry() async throws {
        let breaker = Breaker(BreakerConfiguration(trip: .consecutiveFailures(1), openFor: .seconds(1)), clock: clock)
        _ = try? await breaker.run { throw Failure() }
        let records = EventRecorder<CallRecord>()
        let pipeline = Pipeline("payments", clock: clock, observer: records.record) {
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
        let record = try #require(await records.wait(for: 1).first)
        #expect(record.codes == ["circuit_breaker.open"])
        #expect(record.description.contains("circuit_breaker.open: no call for another 1 s"))
    }

    @Test("INV-38: a rejection that says when is waited for where that is configured and fits before the deadline")
    func waitedFor() async throws {
        let configuration = RetryConfiguration(
            .notIdempotent,
            maxAttempts: 2,
            backoff: .none,
            maximumRejectionWait: .seconds(60)
        )
        for limit in [Duration.seconds(31), .seconds(30)] {
            let breaker = Breaker(BreakerConfiguration(trip: .consecutiveFailures(1)), clock: clock)
            _ = try? await breaker.run { throw Failure() }
            let calls = Counter()
            let pipeline = Pipeline {
                TimeoutPolicy(limit, clock: clock)
                RetryPolicy(configuration, clock: clock)
                breaker
            }
            let task = Task { try await pipeline.run { calls.increment() } }
            if limit == .seconds(31) {
                await clock.waitForSleepers(2)
                clock.advance(by: .seconds(30))
                #expect(try await task.value == 1)
            } else {
                // Nothing has to be moved: it does not wait.
                await #expect(throws: BreakerOpenError.self) { try await task.value }
                #expect(calls.value == 0)
            }
        }
    }

    /// A policy that rejects every call.
    private struct RejectingPolicy: CallPolicy {
        struct Rejection: ReliabilityError {
            var code: ErrorCode { "test.rejection" }
            var category: ErrorCategory { .rateLimited }
            var message: String { "Rejected." }
            var retryAfter: Duration? { .zero }
            var isRejection: Bool { true }
            var mayHaveBeenSent: Bool { false }
        }
        var layers: [PolicyLayer] { [PolicyLayer(.other, "rejects")] }

        nonisolated(nonsending) func run<Success>(
            _ operation: nonisolated(nonsending) () async throws -> Success
        ) async throws -> Success {
            throw Rejection()
        }
    }

    @Test("a call whose operation never began throws the last rejection, and one that sent something does not")
    func onlyRejections() async {
        for idempotency in [Idempotency.idempotent, .notIdempotent] {
            let configuration = RetryConfiguration(
                idempotency,
                maxAttempts: 3,
                backoff: .none,
                maximumRejectionWait: .seconds(1)
            )
            let retry = RetryPolicy(configuration, clock: clock)
            await #expect(throws: RejectingPolicy.Rejection.self) {
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

    @Test("a caller who leaves is not told that nothing was sent, when an earlier attempt may have been")
    func callerLeaves() async {
        let task = Task { [clock] in
            var attempts = 0
            try await RetryPolicy(
                RetryConfiguration(.idempotent, maxAttempts: 3, backoff: .none),
                clock: clock
            )
            .run {
                attempts += 1
                if attempts == 1 { throw Failure() }
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                try await RejectingPolicy().run {}
            }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test("INV-38: an observer is told of a refused call as ignored")
    func records() async throws {
        for refusal in await refusals() {
            let records = EventRecorder<CallRecord>()
            _ = try? await Pipeline(observer: records.record) { FakePolicy.retry(1) }.run { throw refusal }
            #expect(await records.wait(for: 1).map(\.outcome) == [.ignored])
        }
    }
}
