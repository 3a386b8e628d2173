import Reliability
import ReliabilityTesting
import Testing

/// What a declined card is in somebody else's library.
private struct CardError: Error, Equatable {}

private struct Known: ReliabilityError, Equatable {
    var code: ErrorCode { "test.known" }
    var category: ErrorCategory
    var message: String { "Known." }
    var retryAfter: Duration?
    var isRejection = false
}

private struct Response: Sendable, Equatable {
    var status: Int
}

@Suite("What an error or a result means to the policies")
struct ClassificationTests {
    private let clock = ManualClock()

    private func call(
        _ idempotency: Idempotency = .idempotent,
        trip: BreakerTrip = .consecutiveFailures(3),
        map: (@Sendable (any Error) -> (any ReliabilityError)?)? = nil,
        observer: (@Sendable (CallRecord) -> Void)? = nil
    ) -> ExternalCall {
        var configuration = ExternalCallConfiguration.externalAPI(idempotency)
        (configuration.firstWait, configuration.longestWait) = (.zero, .zero)
        configuration.breakerTrip = trip
        return ExternalCall("payments", configuration, map: map, clock: clock, observer: observer)
    }

    /// One row of the table on the page of the module, as it is measured.
    private struct Row: Equatable {
        var isTriedAgain: Bool
        var outcome: Outcome
        var isAnswered: Bool
        var status: Int
    }

    private func row(_ error: any Error) async throws -> Row {
        // Two attempts, no waits: also the longer waits of throttling are none.
        let retry = RetryConfiguration(.idempotent, maxAttempts: 2, backoff: .none, throttledBackoff: .none)
        let attempts = Counter()
        _ = try? await RetryPolicy(retry, clock: clock).run {
            attempts.increment()
            throw error
        }
        // Each counts by its own: a failure opens, a success closes, and what is ignored leaves a probe to the next.
        let breaker = Breaker(.consecutiveFailures(1), clock: clock)
        _ = try? await breaker.run { throw error }
        let probing = Breaker(.consecutiveFailures(1), clock: clock)
        _ = try? await probing.run { throw CardError() }
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

    @Test("the table on the page of the module is right in every cell")
    func table() async throws {
        let faults: [(ErrorCategory, Int)] = [
            (.invalid, 400), (.unauthenticated, 401), (.forbidden, 403), (.notFound, 404), (.conflict, 409),
            (.preconditionFailed, 412), (.tooLarge, 413), (.unprocessable, 422),
        ]
        for (category, status) in faults {
            let expected = Row(isTriedAgain: false, outcome: .success, isAnswered: false, status: status)
            #expect(try await row(Known(category: category)) == expected, "\(category)")
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
        try await check(Known(category: .timeout), true, .failure, true, 504)
        try await check(Known(category: .unavailable), true, .failure, true, 503)
        try await check(Known(category: .rateLimited, retryAfter: .zero), true, .ignored, true, 429)
        try await check(Known(category: .internal), false, .failure, true, 500)
        try await check(Known(category: .cancelled), false, .failure, true, 499)
        try await check(Known(category: ErrorCategory(rawValue: "of_yours")), false, .failure, true, 500)
        try await check(CardError(), true, .failure, true, 500)
        try await check(Known(category: .unavailable, retryAfter: .zero, isRejection: true), false, .ignored, true, 503)
    }

    @Test("a declined card of somebody else's library, mapped: charged once, thrown as it is, the breaker closed")
    func declinedCard() async throws {
        let call = call(map: { $0 is CardError ? Known(category: .unprocessable) : nil })
        let charges = Counter()
        for _ in 0..<5 {
            await #expect(throws: CardError()) {
                try await call.run {
                    charges.increment()
                    throw CardError()
                }
            }
        }
        #expect(charges.value == 5)
        #expect(call.breaker.state == .closed)
        // A fallback that says "pending" would be a lie.
        await #expect(throws: CardError()) { try await call.run(or: .value("pending")) { throw CardError() } }
        struct Lost: Error {}
        #expect(try await call.run(or: .value("pending")) { throw Lost() } == "pending")
    }

    @Test("without a map, an error that does not conform is tried again and counts, as a network's errors should")
    func unknown() async {
        let call = call()
        let charges = Counter()
        await #expect(throws: RetryError.self) {
            try await call.run {
                charges.increment()
                throw CardError()
            }
        }
        #expect(charges.value == 3)
        #expect(call.breaker.state.isOpen)
    }

    @Test(
        "a map says of an error that nothing was sent, that it is throttling, or that another policy rejected the call"
    )
    func mapped() async {
        func attempts(_ meaning: any ReliabilityError, _ idempotency: Idempotency = .idempotent) async -> Int {
            let call = call(idempotency, trip: .consecutiveFailures(1), map: { _ in meaning })
            let attempts = Counter()
            let budget = call.budget.available
            _ = try? await call.run {
                attempts.increment()
                throw CardError()
            }
            #expect(call.breaker.state.isOpen == !(meaning.isRejection || meaning.category == .rateLimited))
            #expect(attempts.value == 1 || call.budget.available < budget)
            return attempts.value
        }
        // The breaker opens at the first failure and rejects the second attempt.
        #expect(await attempts(NotSentError(CardError()), .notIdempotent) == 1)
        #expect(
            await attempts(Known(category: .rateLimited, retryAfter: .seconds(9))) == 1,
            "longer than the call's limit"
        )
        #expect(await attempts(Known(category: .unavailable, isRejection: true)) == 1)
    }

    @Test("a call that is not idempotent is tried again if the map says that nothing was sent")
    func notSent() async {
        let call = call(.notIdempotent, map: { $0 is CardError ? NotSentError($0) : nil })
        let attempts = Counter()
        _ = try? await call.run {
            attempts.increment()
            throw CardError()
        }
        #expect(attempts.value == 3)
    }

    @Test("a breaker around retries and hedges judges by the attempts' own errors, not by what the client is told")
    func aroundAttempts() async {
        let retry = RetryPolicy(
            RetryConfiguration(.idempotent, maxAttempts: 2, backoff: .none, throttledBackoff: .none),
            clock: clock
        )
        let hedge = HedgePolicy(after: .fixed(.seconds(1)), classify: { _ in .retry }, clock: clock)
        for (category, outcome) in [(ErrorCategory.rateLimited, Outcome.ignored), (.timeout, .failure)] {
            for isHedged in [false, true] {
                let breaker = Breaker(.consecutiveFailures(1), clock: clock)
                do {
                    try await breaker.run {
                        if isHedged {
                            try await hedge.run { _ in throw Known(category: category) }
                        } else {
                            try await retry.run { throw Known(category: category) }
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

    @Test("a programming error behind a retry is an incident, and a dependency's 429 or 401 is not the client's")
    func whatClientsAreTold() async throws {
        let incidents = EventRecorder<ErrorIncident>()
        let renderer = ErrorRenderer(onIncident: incidents.record)
        let retry = RetryPolicy(
            RetryConfiguration(.idempotent, maxAttempts: 2, backoff: .none, throttledBackoff: .none),
            classify: { _ in .retry },
            clock: clock
        )
        func status(_ error: any Error) async -> Int? {
            do {
                try await retry.run { throw error }
                return nil
            } catch { return renderer.response(to: error).status }
        }
        #expect(await status(CardError()) == 500)
        let incident = try #require(await incidents.wait(for: 1).first)
        #expect((incident.error as? RetryError)?.lastError is CardError)
        for category in [ErrorCategory.rateLimited, .unauthenticated, .conflict] {
            #expect(await status(Known(category: category)) == 503)
        }
        #expect(await status(Known(category: .timeout)) == 504)
        // Every response from 500 up is an incident.
        #expect(await incidents.wait(for: 5).count == 5)
    }

    @Test("a retry around a hedge whose attempts all failed with errors that do not conform tries again")
    func retryAroundHedge() async {
        let hedge = HedgePolicy(after: .fixed(.seconds(1)), clock: clock)
        let attempts = Counter()
        await #expect(throws: RetryError.self) {
            try await RetryPolicy(.idempotent, maxAttempts: 2, backoff: .none).run {
                try await hedge.run { _ in
                    attempts.increment()
                    throw CardError()
                }
            }
        }
        // Two hedged attempts, and one extra attempt, in which nothing is hedged.
        #expect(attempts.value == 3)
    }

    // MARK: Results

    private static func failure(_ response: Response) -> (any ReliabilityError)? {
        switch response.status {
        case 500...: UnwantedResultError()
        case 429: UnwantedResultError(.rateLimited, retryAfter: .zero)
        case 422: UnwantedResultError(.unprocessable)
        default: nil
        }
    }

    @Test("a result that means a failure is tried again and counts, and the last one is returned")
    func results() async throws {
        let call = call()
        let calls = Counter()
        let response = try await call.run(failingResult: Self.failure) {
            calls.increment()
            return Response(status: 502 + calls.value)
        }
        #expect(response == Response(status: 505))
        #expect(calls.value == 3)
        #expect(call.breaker.state == .open(remaining: .seconds(30)))
        await #expect(throws: BreakerOpenError.self) {
            try await call.run(failingResult: Self.failure) { Response(status: 200) }
        }
    }

    @Test("a good result ends the call, whichever attempt gave it")
    func goodResult() async throws {
        let call = call()
        let calls = Counter()
        let response = try await call.run(failingResult: Self.failure) {
            Response(status: calls.increment() < 3 ? 503 : 200)
        }
        #expect(response == Response(status: 200))
        #expect(calls.value == 3)
        #expect(call.breaker.state == .closed)
    }

    @Test("a result that finds fault with the request is returned at once, and the dependency is well")
    func faultInResult() async throws {
        let call = call(trip: .consecutiveFailures(2))
        let calls = Counter()
        for status in [503, 422, 503, 422] {
            let response = try await call.run(.notIdempotent, failingResult: Self.failure) {
                calls.increment()
                return Response(status: status)
            }
            #expect(response.status == status)
        }
        #expect(calls.value == 4)
        #expect(call.breaker.state == .closed)
    }

    @Test(
        "a result that carries a rejection was sent nevertheless, and is waited for no longer than a thrown one",
        arguments: [Idempotency.notIdempotent, .idempotent],
        [true, false]
    )
    func rejectionInResult(_ idempotency: Idempotency, isBreaker: Bool) async throws {
        let open = Breaker(BreakerConfiguration(trip: .consecutiveFailures(1)), clock: clock)
        _ = try? await open.run { throw CardError() }
        let sent = Counter()
        let call = call(idempotency, trip: .consecutiveFailures(1))
        let result = try await call.run(
            failingResult: { (result: Result<Int, any Error>) in
                if case .failure(let error) = result { error as? any ReliabilityError } else { nil }
            },
            {
                sent.increment()
                do {
                    let body: @Sendable () async throws -> Int = { 1 }
                    let clock = clock
                    if isBreaker { return .success(try await open.run(body)) }
                    return .success(try await withTimeout(.zero, clock: clock, operation: body))
                } catch { return .failure(error) }
            }
        )
        #expect(throws: (any Error).self) { try result.get() }
        #expect(sent.value == 1)
        #expect(call.breaker.state == .closed)
    }

    @Test("a result that states that nothing was sent is tried again, whatever it wraps", arguments: [true, false])
    func notSentInResult(isRejection: Bool) async throws {
        let failure: any Error = isRejection ? Known(category: .unavailable, isRejection: true) : CardError()
        let sent = Counter()
        let retry = RetryPolicy(
            RetryConfiguration(.notIdempotent, backoff: .none, maximumRejectionWait: .seconds(1)),
            classify: { _ in .retryAfter(.zero) },
            clock: clock
        )
        let pipeline = Pipeline("payments", clock: clock) { retry }
        let response = try await pipeline.run(
            failingResult: { (response: Response) in response.status == 503 ? NotSentError(failure) : nil },
            { Response(status: sent.increment() == 1 ? 503 : 200) }
        )
        #expect(response.status == 200 && sent.value == 2)
    }

    @Test("when the last attempt threw or was rejected, that is thrown, and no earlier result is returned")
    func thrownAtLast() async {
        let calls = Counter()
        let error = await #expect(throws: RetryError.self) {
            try await call().run(failingResult: Self.failure) {
                if calls.increment() == 3 { throw CardError() }
                return Response(status: 503)
            }
        }
        #expect(error?.lastError is CardError)
        let open = call(trip: .consecutiveFailures(1))
        let rejected = await #expect(throws: RetryError.self) {
            try await open.run(failingResult: Self.failure) { Response(status: 503) }
        }
        #expect(rejected?.codes == ["retry.rejected", "circuit_breaker.open"])
    }

    @Test(
        "results that mean a failure pass any pipeline: a breaker alone, a limit that has expired, a cancelled caller"
    )
    func anyPipeline() async throws {
        let breaker = Breaker(.consecutiveFailures(2), clock: clock)
        for _ in 0..<2 {
            #expect(try await breaker.run(failingResult: Self.failure) { Response(status: 500) }.status == 500)
        }
        #expect(breaker.state.isOpen)
        let limit = TimeoutPolicy(.seconds(1), clock: clock)
        let late = try await limit.run(failingResult: Self.failure) {
            clock.advance(by: .seconds(1))
            return Response(status: 503)
        }
        #expect(late.status == 503)
        let cancelled = Task {
            try await call().run(failingResult: Self.failure) {
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                return Response(status: 503)
            }
        }
        #expect(try await cancelled.value.status == 503)
    }

    @Test("the record of a call with a bad result tells the attempts and the end as failures")
    func record() async throws {
        let records = EventRecorder<CallRecord>()
        _ = try await call(trip: .standard, observer: records.record).run(failingResult: Self.failure) {
            Response(status: 503)
        }
        let record = try #require(await records.wait(for: 1).first)
        #expect(record.outcome == .failure && record.attempts == 3)
        #expect(record.codes == ["retry.exhausted", "retry.unwanted_result"])
    }

    @Test("a result that is not Sendable, on the main actor, in place")
    @MainActor
    func isolation() async throws {
        final class Box { var count = 0 }
        let box = Box()
        let result = try await call().run(failingResult: { $0.count < 2 ? UnwantedResultError() : nil }) {
            MainActor.preconditionIsolated()
            box.count += 1
            return box
        }
        #expect(result === box && box.count == 2)
    }
}
