import Reliability
import ReliabilityTesting
import TestSupport
import Testing

@Suite("Error classification")
struct ErrorClassificationTests {
    private let fixture = ClassificationFixture()
    private var clock: ManualClock { fixture.clock }

    /// A measured row of the table on the module's page.
    private struct Row: Equatable {
        var isTriedAgain: Bool
        var outcome: Outcome
        var isAnswered: Bool
        var status: Int
    }

    private func row(_ error: any Error) async throws -> Row {
        // Two attempts without waits, also for throttling.
        let retry = RetryPolicy.Configuration(.idempotent, maxAttempts: 2, backoff: .none, throttledBackoff: .none)
        let attempts = ConcurrencyCounter()
        _ = try? await RetryPolicy(retry, clock: clock).run {
            attempts.increment()
            throw error
        }
        // A failure opens a breaker, a success closes one, and an ignored error leaves the probe to the next call.
        let breaker = Breaker(.consecutiveFailures(1), clock: clock)
        _ = try? await breaker.run { throw error }
        let probing = Breaker(.consecutiveFailures(1), clock: clock)
        _ = try? await probing.run { throw TestError() }
        clock.advance(by: .seconds(30))
        _ = try? await probing.run { throw error }
        let outcome: Outcome = breaker.state.isOpen ? .failure : probing.state == .closed ? .success : .ignored
        let answer = try? await Fallback(.value("answer")).run { throw error }
        return Row(
            isTriedAgain: attempts.value == 2,
            outcome: outcome,
            isAnswered: answer?.isFallback == true,
            status: ErrorResponse(error).status
        )
    }

    @Test("every cell of the table on the module's page is correct")
    func table() async throws {
        let faults: [(ErrorCategory, Int)] = [
            (.invalid, 400), (.unauthenticated, 401), (.forbidden, 403), (.notFound, 404), (.conflict, 409),
            (.preconditionFailed, 412), (.tooLarge, 413), (.unprocessable, 422),
        ]
        for (category, status) in faults {
            let expected = Row(isTriedAgain: false, outcome: .success, isAnswered: false, status: status)
            #expect(try await row(TestReliabilityError(category)) == expected, "\(category)")
        }
        func check(
            _ error: any Error,
            _ isTriedAgain: Bool,
            _ outcome: Outcome,
            _ isAnswered: Bool,
            _ status: Int,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let expected = Row(
                isTriedAgain: isTriedAgain,
                outcome: outcome,
                isAnswered: isAnswered,
                status: status
            )
            #expect(try await row(error) == expected, "\(error)", sourceLocation: sourceLocation)
        }
        try await check(TestReliabilityError(.timeout), true, .failure, true, 504)
        try await check(TestReliabilityError(.unavailable), true, .failure, true, 503)
        try await check(TestReliabilityError(.rateLimited, retryAfter: .zero), true, .ignored, true, 429)
        try await check(TestReliabilityError(.internal), false, .failure, true, 500)
        try await check(TestReliabilityError(.cancelled), false, .failure, true, 499)
        try await check(TestReliabilityError(ErrorCategory(rawValue: "of_yours")), false, .failure, true, 500)
        try await check(TestError(), true, .failure, true, 500)
        try await check(TestRejection(retryAfter: .zero), false, .ignored, true, 503)
    }

    @Test("a mapped foreign error is not retried, is thrown unchanged and does not open the breaker")
    func mappedError() async throws {
        let call = fixture.call(classify: { $0 is TestError ? TestReliabilityError(.unprocessable) : nil })
        let charges = ConcurrencyCounter()
        for _ in 0..<5 {
            await #expect(throws: TestError()) {
                try await call.run {
                    charges.increment()
                    throw TestError()
                }
            }
        }
        #expect(charges.value == 5)
        #expect(call.breaker.state == .closed)
        // A fallback must not hide a declined payment.
        await #expect(throws: TestError()) { try await call.run(or: .value("pending")) { throw TestError() } }
        struct Lost: Error {}
        #expect(try await call.run(or: .value("pending")) { throw Lost() } == "pending")
    }

    @Test("a foreign error without a map is retried and counts as a failure")
    func unknown() async {
        let call = fixture.call()
        let charges = ConcurrencyCounter()
        await #expect(throws: RetryError.self) {
            try await call.run {
                charges.increment()
                throw TestError()
            }
        }
        #expect(charges.value == 3)
        #expect(call.breaker.state.isOpen)
    }

    @Test(
        "a map can classify an error as not sent, as throttling or as a rejection"
    )
    func mapped() async {
        func attempts(_ meaning: any ReliabilityError, _ idempotency: Idempotency = .idempotent) async -> Int {
            let call = fixture.call(idempotency, tripCondition: .consecutiveFailures(1), classify: { _ in meaning })
            let attempts = ConcurrencyCounter()
            let budget = call.budget.available
            _ = try? await call.run {
                attempts.increment()
                throw TestError()
            }
            #expect(call.breaker.state.isOpen == !(meaning.isRejection || meaning.category == .rateLimited))
            #expect(attempts.value == 1 || call.budget.available < budget)
            return attempts.value
        }
        // The breaker opens at the first failure and rejects the second attempt.
        #expect(await attempts(NotSentError(TestError()), .notIdempotent) == 1)
        #expect(
            await attempts(TestReliabilityError(.rateLimited, retryAfter: .seconds(9))) == 1,
            "the wait is longer than the call's limit"
        )
        #expect(await attempts(TestRejection()) == 1)
    }

    @Test("a call that is not idempotent is retried if the map returns NotSentError")
    func notSent() async {
        let call = fixture.call(.notIdempotent, classify: { $0 is TestError ? NotSentError($0) : nil })
        let attempts = ConcurrencyCounter()
        _ = try? await call.run {
            attempts.increment()
            throw TestError()
        }
        #expect(attempts.value == 3)
    }

    @Test("a breaker around retries and hedges classifies the attempts' own errors")
    func aroundAttempts() async {
        let retry = RetryPolicy(
            RetryPolicy.Configuration(.idempotent, maxAttempts: 2, backoff: .none, throttledBackoff: .none),
            clock: clock
        )
        let hedge = Hedger(Hedger.Configuration(.fixed(.seconds(1))), classify: { _ in .retry }, clock: clock)
        for (category, outcome) in [(ErrorCategory.rateLimited, Outcome.ignored), (.timeout, .failure)] {
            for isHedged in [false, true] {
                let breaker = Breaker(.consecutiveFailures(1), clock: clock)
                do {
                    try await breaker.run {
                        if isHedged {
                            try await hedge.run { _ in throw TestReliabilityError(category) }
                        } else {
                            try await retry.run { throw TestReliabilityError(category) }
                        }
                    }
                } catch {
                    #expect(isHedged ? error is HedgeError : error is RetryError)
                    #expect((error as? any ReliabilityError)?.category != .rateLimited)
                }
                #expect(breaker.state.isOpen == (outcome == .failure))
            }
        }
    }

    @Test("an unknown error behind a retry is an incident, and a dependency's 429 or 401 becomes a 503")
    func responses() async throws {
        let incidents = EventRecorder<ErrorIncident>()
        let renderer = ErrorRenderer(observer: incidents.record)
        let retry = RetryPolicy(
            RetryPolicy.Configuration(.idempotent, maxAttempts: 2, backoff: .none, throttledBackoff: .none),
            classify: { _ in .retry },
            clock: clock
        )
        func status(_ error: any Error) async -> Int? {
            do {
                try await retry.run { throw error }
                return nil
            } catch { return renderer.response(to: error).status }
        }
        #expect(await status(TestError()) == 500)
        let incident = try #require(await incidents.wait(for: 1).first)
        #expect((incident.error as? RetryError)?.lastError is TestError)
        for category in [ErrorCategory.rateLimited, .unauthenticated, .conflict] {
            #expect(await status(TestReliabilityError(category)) == 503)
        }
        #expect(await status(TestReliabilityError(.timeout)) == 504)
        // Every response from status 500 is an incident.
        #expect(await incidents.wait(for: 5).count == 5)
    }

    @Test("a hedge whose attempts all failed with foreign errors is retried")
    func retryAroundHedge() async {
        let hedge = Hedger(Hedger.Configuration(.fixed(.seconds(1))), clock: clock)
        let attempts = ConcurrencyCounter()
        await #expect(throws: RetryError.self) {
            try await RetryPolicy(.idempotent(maxAttempts: 2, backoff: .none)).run {
                try await hedge.run { _ in
                    attempts.increment()
                    throw TestError()
                }
            }
        }
        // Two hedged attempts, and one extra attempt without hedges.
        #expect(attempts.value == 3)
    }
}
