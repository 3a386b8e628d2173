import Reliability
import ReliabilityTesting
import TestSupport
import Testing

private struct Response: Sendable, Equatable {
    var status: Int
}

@Suite("Result classification")
struct ResultClassificationTests {
    private let fixture = ClassificationFixture()
    private var clock: ManualClock { fixture.clock }

    private static func failure(_ response: Response) -> (any ReliabilityError)? {
        switch response.status {
        case 500...: UnwantedResultError()
        case 429: UnwantedResultError(.rateLimited, retryAfter: .zero)
        case 422: UnwantedResultError(.unprocessable)
        default: nil
        }
    }

    @Test("a failed result is retried and counts as a failure, and the last result is returned")
    func results() async throws {
        let call = fixture.call()
        let calls = ConcurrencyCounter()
        let response = try await call.run(classifyResult: Self.failure) {
            calls.increment()
            return Response(status: 502 + calls.value)
        }
        #expect(response == Response(status: 505))
        #expect(calls.value == 3)
        #expect(call.breaker.state == .open(remaining: .seconds(30)))
        await #expect(throws: BreakerOpenError.self) {
            try await call.run(classifyResult: Self.failure) { Response(status: 200) }
        }
    }

    @Test("a good result of any attempt ends the call")
    func goodResult() async throws {
        let call = fixture.call()
        let calls = ConcurrencyCounter()
        let response = try await call.run(classifyResult: Self.failure) {
            Response(status: calls.increment() < 3 ? 503 : 200)
        }
        #expect(response == Response(status: 200))
        #expect(calls.value == 3)
        #expect(call.breaker.state == .closed)
    }

    @Test("a result that blames the request is returned without a retry and does not open the breaker")
    func faultInResult() async throws {
        let call = fixture.call(tripCondition: .consecutiveFailures(2))
        let calls = ConcurrencyCounter()
        for status in [503, 422, 503, 422] {
            let response = try await call.run(.notIdempotent, classifyResult: Self.failure) {
                calls.increment()
                return Response(status: status)
            }
            #expect(response.status == status)
        }
        #expect(calls.value == 4)
        #expect(call.breaker.state == .closed)
    }

    @Test(
        "a result that carries a rejection is returned without a retry and does not open the breaker",
        arguments: [Idempotency.notIdempotent, .idempotent],
        [true, false]
    )
    func rejectionInResult(_ idempotency: Idempotency, isBreaker: Bool) async throws {
        let open = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(1)), clock: clock)
        _ = try? await open.run { throw TestError() }
        let sent = ConcurrencyCounter()
        let call = fixture.call(idempotency, tripCondition: .consecutiveFailures(1))
        let result = try await call.run(
            classifyResult: { (result: Result<Int, any Error>) in
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

    @Test("a result classified as NotSentError is retried, regardless of the wrapped error", arguments: [true, false])
    func notSentInResult(isRejection: Bool) async throws {
        let failure: any Error = isRejection ? TestRejection() : TestError()
        let sent = ConcurrencyCounter()
        let retry = RetryPolicy(
            RetryPolicy.Configuration(.notIdempotent, backoff: .none, maxRejectionWait: .seconds(1)),
            classify: { _ in .retryAfter(.zero) },
            clock: clock
        )
        let pipeline = Pipeline("payments", clock: clock) { retry }
        let response = try await pipeline.run(
            classifyResult: { (response: Response) in response.status == 503 ? NotSentError(failure) : nil },
            { Response(status: sent.increment() == 1 ? 503 : 200) }
        )
        #expect(response.status == 200 && sent.value == 2)
    }

    @Test("an error or a rejection of the last attempt is thrown instead of an earlier result")
    func thrownAtLast() async {
        let calls = ConcurrencyCounter()
        let error = await #expect(throws: RetryError.self) {
            try await fixture.call().run(classifyResult: Self.failure) {
                if calls.increment() == 3 { throw TestError() }
                return Response(status: 503)
            }
        }
        #expect(error?.lastError is TestError)
        let open = fixture.call(tripCondition: .consecutiveFailures(1))
        let rejected = await #expect(throws: RetryError.self) {
            try await open.run(classifyResult: Self.failure) { Response(status: 503) }
        }
        #expect(rejected?.codes == ["retry.rejected", "circuit_breaker.open"])
    }

    @Test(
        "a failed result passes through a breaker, an expired limit and a cancelled caller"
    )
    func anyPipeline() async throws {
        let breaker = Breaker(.consecutiveFailures(2), clock: clock)
        for _ in 0..<2 {
            #expect(try await breaker.run(classifyResult: Self.failure) { Response(status: 500) }.status == 500)
        }
        #expect(breaker.state.isOpen)
        let limit = TimeoutPolicy(.seconds(1), clock: clock)
        let late = try await limit.run(classifyResult: Self.failure) {
            clock.advance(by: .seconds(1))
            return Response(status: 503)
        }
        #expect(late.status == 503)
        let cancelled = Task {
            try await fixture.call().run(classifyResult: Self.failure) {
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                return Response(status: 503)
            }
        }
        #expect(try await cancelled.value.status == 503)
    }

    @Test("the report of a call with a failed result has a failure and its attempts")
    func report() async throws {
        let reports = EventRecorder<CallReport>()
        _ = try await fixture.call(tripCondition: .standard, observer: reports.recordEnded).run(
            classifyResult: Self.failure
        ) {
            Response(status: 503)
        }
        let report = try #require(await reports.wait(for: 1).first)
        #expect(report.outcome == .failure && report.attempts == 3)
        #expect(report.codes == ["retry.exhausted", "retry.unwanted_result"])
    }

    @Test("a result on the main actor need not be Sendable")
    @MainActor
    func isolation() async throws {
        let box = NonSendableCounter()
        let result = try await fixture.call().run(classifyResult: { $0.count < 2 ? UnwantedResultError() : nil }) {
            MainActor.preconditionIsolated()
            box.count += 1
            return box
        }
        #expect(result === box && box.count == 2)
    }
}
