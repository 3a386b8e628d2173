import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import Retry

@Suite("RetryError")
struct RetryErrorTests {
    private struct Failure: Error, CustomStringConvertible {
        var description = "failure"
    }
    private struct Refusal: ReliabilityError {
        var code: ErrorCode { "test.refusal" }
        var category: ErrorCategory { .unavailable }
        var message: String { "Refused." }
        var retryAfter: Duration? { .zero }
        var isRejection: Bool { true }
    }
    private struct Known: ReliabilityError {
        let code: ErrorCode = "test.known"
        let category: ErrorCategory
        let message = "Known."
        let retryAfter: Duration?

        init(_ category: ErrorCategory, _ retryAfter: Duration? = nil) {
            self.category = category
            self.retryAfter = retryAfter
        }
    }
    private let clock = ManualClock()

    private func error(
        _ maxAttempts: Int,
        _ operation: @Sendable (_ attempt: Int) async throws -> Void
    ) async -> RetryError? {
        var runs = 0
        return await #expect(throws: RetryError.self) {
            try await RetryPolicy(
                RetryConfiguration(.idempotent, maxAttempts: maxAttempts, backoff: .none),
                clock: clock
            )
            .run {
                runs += 1
                try await operation(runs)
            }
        }
    }

    @Test("every attempt is told of, with its error, its time and the wait before it")
    func attempts() async throws {
        let retry = RetryPolicy(
            RetryConfiguration(.idempotent, maxAttempts: 3, backoff: .constant(.seconds(10), jitter: .none)),
            clock: clock
        )
        let task = Task { [clock] in
            var runs = 0
            try await retry.run {
                runs += 1
                clock.advance(by: .seconds(runs))
                throw Failure(description: "failure \(runs)")
            }
        }
        for _ in 0..<2 { await clock.advanceToNextSleeper() }
        let error = try #require(await #expect(throws: RetryError.self) { try await task.value })
        #expect(error.attempts.map(\.number) == [1, 2, 3])
        #expect(error.attempts.map(\.waited) == [.zero, .seconds(10), .seconds(10)])
        #expect(error.attempts.map(\.took) == [.seconds(1), .seconds(2), .seconds(3)])
        #expect(error.attempts.map { "\($0.error)" } == ["failure 1", "failure 2", "failure 3"])
        #expect(error.timeRunning == .seconds(6))
        #expect(error.timeWaiting == .seconds(20))
        #expect(
            error.description == """
                retry.exhausted: no attempt is left after 3 attempt(s), ran 6 s, waited 20 s: \
                #1 ran 1 s: failure 1; #2 after 10 s ran 2 s: failure 2; #3 after 10 s ran 3 s: failure 3
                """
        )
    }

    @Test("a wait from which the task woke late is told as long as it was")
    func lateWaking() async throws {
        let retry = RetryPolicy(
            RetryConfiguration(.idempotent, maxAttempts: 2, backoff: .constant(.seconds(10), jitter: .none)),
            clock: clock
        )
        let task = Task { try await retry.run { throw Failure(description: "failure") } }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(15))
        let error = await #expect(throws: RetryError.self) { try await task.value }
        #expect(error?.attempts.map(\.waited) == [.zero, .seconds(15)])
        #expect(error?.timeWaiting == .seconds(15))
        #expect(error?.timeRunning == .zero)
    }

    @Test("of very many attempts the first and the last are kept, and all are counted")
    func manyAttempts() async {
        let error = await error(1000) { throw Failure(description: "\($0)") }
        #expect(error?.attemptCount == 1000)
        #expect(error?.attempts.map(\.number) == Array(1...10) + Array(991...1000))
    }

    @Test("the description is one line, whatever the errors have in theirs")
    func oneLine() async {
        let error = await error(2) { _ in throw Failure(description: "a\nb\r\nc\u{2028}d\u{1B}[31m\u{85}e") }
        let scalars = error?.description.unicodeScalars
        #expect(scalars?.contains { $0.properties.generalCategory == .control || $0 == "\u{2028}" } == false)
    }

    @Test("a call of which one attempt reached the dependency is evidence, though the last was rejected")
    func evidence() async {
        let mixed = await error(3) { if $0 == 1 { throw Failure() } else { throw Refusal() } }
        #expect(mixed?.isRejection == false && mixed?.mayHaveBeenSent == true)
        #expect(mixed?.reason == .rejected && mixed?.attemptCount == 2)
        #expect(mixed?.codes == ["retry.rejected", "test.refusal"])
    }

    /// What a call throws whose attempts throw these errors.
    private func thrown(
        _ errors: [any Error],
        _ configuration: RetryConfiguration,
        classify: @escaping @Sendable (any Error) -> RetryDecision = RetryDecision.standard(for:)
    ) async -> any Error {
        var runs = 0
        do {
            try await RetryPolicy(configuration, classify: classify, clock: clock).run {
                runs += 1
                throw errors[min(runs, errors.count) - 1]
            }
            return CancellationError()
        } catch { return error }
    }

    @Test("a call that made one attempt throws what the attempt threw, whichever rule ended it")
    func singleAttempt() async {
        let once = RetryConfiguration(.idempotent, maxAttempts: 1)
        #expect(await thrown([Failure()], once) is Failure)
        #expect(await thrown([Failure()], RetryConfiguration(.notIdempotent)) is Failure)
        #expect(await thrown([Refusal()], RetryConfiguration(.idempotent)) is Refusal)
        #expect(await thrown([Known(.unavailable, .seconds(61))], RetryConfiguration(.idempotent)) is Known)
        let late = Deadline(instant: TimeSource(clock).now, timeSource: TimeSource(clock))
        let cut = await DeadlineScope.$innermost.withValue(DeadlineScope(late)) {
            await thrown([Failure()], RetryConfiguration(.idempotent))
        }
        #expect(cut is Failure)
        let empty = RetryBudget(.tokens(capacity: 1, refill: 1, transient: 1, timeout: 1, throttled: 1, hedge: 1))
        for _ in 0..<2 {
            do {
                try await RetryPolicy(RetryConfiguration(.idempotent, maxAttempts: 2, backoff: .none), budget: empty)
                    .run { throw Failure() }
            } catch {
                #expect(empty.available == 0)
                #expect(error is RetryError || error is Failure)
            }
        }
        await #expect(throws: Failure.self) {
            try await RetryPolicy(RetryConfiguration(.idempotent, backoff: .none), budget: empty)
                .run { throw Failure() }
        }
    }

    @Test("rejections from inside prove nothing: the call says that it may have been sent, and is still no evidence")
    func onlyRejections() async {
        let patient = RetryConfiguration(.idempotent, maxAttempts: 3, backoff: .none, maximumRejectionWait: .seconds(1))
        let rejected = await thrown([Refusal()], patient) as? RetryError
        #expect(rejected?.lastError is Refusal && rejected?.attemptCount == 3)
        #expect(rejected?.isRejection == true && rejected?.mayHaveBeenSent == true)
        #expect(rejected?.category == .unavailable && rejected?.retryAfter == .zero)
        let mixed = await thrown([Refusal(), Failure(), Refusal()], patient) as? RetryError
        #expect(mixed?.reason == .attemptsExhausted && mixed?.attemptCount == 3)
    }

    @Test("a map that takes every error for one of its own makes no attempt at what rejects")
    func mappedRejection() async {
        var runs = 0
        await #expect(throws: Refusal.self) {
            try await RetryPolicy(
                RetryConfiguration(.idempotent),
                map: { _ in Known(.unavailable) },
                clock: clock
            )
            .run {
                runs += 1
                throw Refusal()
            }
        }
        #expect(runs == 1)
    }

    @Test("the description says how many attempts it leaves out")
    func leftOut() async {
        let error = await error(1000) { _ in throw Failure() }
        #expect(error?.description.contains("; … 980 more …; #991 ") == true)
    }

    @Test("the last error is rethrown if that is wanted, unless it denies that an earlier attempt was sent")
    func rethrowsLastError() async {
        let rethrowing = RetryConfiguration(.idempotent, maxAttempts: 3, backoff: .none, rethrowsLastError: true)
        #expect(
            (await thrown([Known(.timeout), Failure(description: "last")], rethrowing) as? Failure)?.description
                == "last"
        )
        #expect(await thrown([NotSentError(Failure())], rethrowing) is NotSentError)
        #expect(await thrown([Failure(), NotSentError(Failure())], rethrowing) is RetryError)
        #expect(await thrown([Failure(), Refusal()], rethrowing) is RetryError)
    }

    @Test("what a failed call is to a client: never the client's own fault, and unknown errors are ours")
    func categories() async {
        let twice = RetryConfiguration(.idempotent, maxAttempts: 2, backoff: .none, throttledBackoff: .none)
        func category(_ error: any Error) async -> ErrorCategory? {
            (await thrown([error], twice, classify: { _ in .retry }) as? RetryError)?.category
        }
        #expect(await category(Known(.timeout)) == .timeout)
        #expect(await category(Known(.unavailable)) == .unavailable)
        for category_ in [
            ErrorCategory.invalid, .unauthenticated, .forbidden, .notFound, .conflict, .preconditionFailed, .tooLarge,
            .unprocessable, .rateLimited,
        ] {
            #expect(await category(Known(category_)) == .unavailable, "\(category_)")
        }
        for error in [Known(.internal), Known(.cancelled), Failure(), CancellationError()] as [any Error] {
            #expect(await category(error) == .internal, "\(error)")
        }
        #expect(await category(Known(ErrorCategory(rawValue: "bad_gateway"))) == ErrorCategory(rawValue: "bad_gateway"))
        let busy = await thrown([Known(.rateLimited, .zero)], twice) as? RetryError
        #expect(busy?.category == .unavailable && busy?.retryAfter == .zero)
        let fault = await thrown([Known(.internal, .zero)], twice, classify: { _ in .retry }) as? RetryError
        #expect(fault?.category == .internal && fault?.retryAfter == nil)
    }

    @Test("an error that was mapped is judged as what it means, and thrown as it is")
    func mapped() async {
        func error(_ meaning: any ReliabilityError, _ idempotency: Idempotency = .idempotent) async -> (any Error, Int)
        {
            var runs = 0
            let retry = RetryPolicy(
                RetryConfiguration(idempotency, maxAttempts: 2, backoff: .none, throttledBackoff: .none),
                map: { $0 is Failure ? meaning : nil },
                clock: clock
            )
            do {
                try await retry.run {
                    runs += 1
                    throw Failure()
                }
                return (CancellationError(), runs)
            } catch { return (error, runs) }
        }
        let declined = await error(Known(.unprocessable))
        #expect(declined.0 is Failure && declined.1 == 1)
        let busy = await error(Known(.rateLimited))
        #expect((busy.0 as? RetryError)?.lastError is Failure && busy.1 == 2)
        #expect((busy.0 as? RetryError)?.category == .unavailable)
        let unsent = await error(NotSentError(Failure()), .notIdempotent)
        #expect((unsent.0 as? RetryError)?.mayHaveBeenSent == false && unsent.1 == 2)
        let refused = await error(Refusal())
        #expect(refused.0 is Failure && refused.1 == 1)
    }

    @Test(
        "each reason has its own code",
        arguments: [
            (RetryError.Reason.attemptsExhausted, "retry.exhausted"), (.mayHaveBeenSent, "retry.may_have_been_sent"),
            (.deadlineTooClose, "retry.deadline_too_close"), (.retryAfterTooLong, "retry.retry_after_too_long"),
            (.rejected, "retry.rejected"), (.budgetExhausted, "retry.budget_exhausted"),
        ]
    )
    func codes(reason: RetryError.Reason, code: String) {
        let error = RetryError(reason, RetryHistory(), lastError: Failure(), meaning: Failure())
        #expect(error.code.rawValue == code)
        #expect(error.description.hasPrefix(code))
    }

    @Test("times and counts of a history saturate")
    func saturates() {
        var history = RetryHistory()
        for _ in 0..<3 {
            history.append(Failure(), meaning: Failure(), wasPossiblySent: true, waited: .max, took: .max)
        }
        #expect(history.running == .max && history.waiting == .max && history.count == 3)
    }
}
