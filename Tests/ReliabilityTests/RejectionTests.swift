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
            // All its attempts were refused: so was the call.
            let retry = RetryConfiguration(.idempotent, maximumRetryAfter: .zero)
            try await RetryPolicy(retry).run { try await breaker.run {} }
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
                "retry.retry_after_too_long", "hedge.exhausted", "timeout.too_many_abandoned",
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

    @Test("INV-38: a refusal that does not say when is not tried again")
    func notRetried() async {
        for refusal in await refusals() where refusal.retryAfter == nil {
            let calls = Counter()
            _ = try? await RetryPolicy(.idempotent, maxAttempts: 5, backoff: .none).run {
                calls.increment()
                throw refusal
            }
            #expect(calls.value == 1, "\(refusal)")
        }
    }

    @Test("INV-38: a refusal that says when is tried again then, if that fits before the deadline, else not at all")
    func retriedWhenItFits() async throws {
        let configuration = RetryConfiguration(.notIdempotent, maxAttempts: 2, backoff: .none)
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
                let error = await #expect(throws: RetryError.self) { try await task.value }
                #expect(error?.reason == .deadlineTooClose)
                #expect(calls.value == 0)
            }
        }
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
