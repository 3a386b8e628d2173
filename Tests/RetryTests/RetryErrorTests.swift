import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import Retry

@Suite("RetryError")
struct RetryErrorTests {
    private struct Failure: Error, CustomStringConvertible {
        var description = "failure"
    }
    private let clock = ManualClock()
    private let rejection = TestRejection(retryAfter: .zero)

    private func error(
        _ maxAttempts: Int,
        _ operation: @Sendable (_ attempt: Int) async throws -> Void
    ) async -> RetryError? {
        var runs = 0
        return await #expect(throws: RetryError.self) {
            try await RetryPolicy(
                RetryPolicy.Configuration(.idempotent, maxAttempts: maxAttempts, backoff: .none),
                clock: clock
            )
            .run {
                runs += 1
                try await operation(runs)
            }
        }
    }

    @Test("the error lists every attempt with its error, its time and the wait before the attempt")
    func attempts() async throws {
        let retry = RetryPolicy(
            RetryPolicy.Configuration(.idempotent, maxAttempts: 3, backoff: .constant(.seconds(10), jitter: .none)),
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

    @Test("a wait that ended late is listed with its real length")
    func lateWaking() async throws {
        let retry = RetryPolicy(
            RetryPolicy.Configuration(.idempotent, maxAttempts: 2, backoff: .constant(.seconds(10), jitter: .none)),
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

    @Test("the first and the last of many attempts are kept, and all attempts are counted")
    func manyAttempts() async {
        let error = await error(1000) { throw Failure(description: "\($0)") }
        #expect(error?.attemptCount == 1000)
        #expect(error?.attempts.map(\.number) == Array(1...10) + Array(991...1000))
    }

    @Test("the description is one line, even if the errors contain line breaks")
    func oneLine() async {
        let error = await error(2) { _ in throw Failure(description: "a\nb\r\nc\u{2028}d\u{1B}[31m\u{85}e") }
        let scalars = error?.description.unicodeScalars
        #expect(scalars?.contains { $0.properties.generalCategory == .control || $0 == "\u{2028}" } == false)
    }

    @Test("a call is not a rejection if one of its attempts reached the dependency")
    func reachedDependency() async {
        let mixed = await error(3) { if $0 == 1 { throw Failure() } else { throw rejection } }
        #expect(mixed?.isRejection == false && mixed?.mayHaveBeenSent == true)
        #expect(mixed?.reason == .rejected && mixed?.attemptCount == 2)
        #expect(mixed?.codes == ["retry.rejected", "test.rejection"])
    }

    /// The error of a call whose attempts throw these errors.
    private func thrown(
        _ errors: [any Error],
        _ configuration: RetryPolicy.Configuration,
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

    @Test("a call with one attempt throws the attempt's error, regardless of the rule that ended the call")
    func singleAttempt() async {
        let once = RetryPolicy.Configuration(.idempotent, maxAttempts: 1)
        #expect(await thrown([Failure()], once) is Failure)
        #expect(await thrown([Failure()], RetryPolicy.Configuration(.notIdempotent)) is Failure)
        #expect(await thrown([rejection], RetryPolicy.Configuration(.idempotent)) is TestRejection)
        #expect(
            await thrown(
                [TestReliabilityError(.unavailable, retryAfter: .seconds(61))],
                RetryPolicy.Configuration(.idempotent)
            ) is TestReliabilityError
        )
        let late = Deadline(instant: TimeSource(clock).now, timeSource: TimeSource(clock))
        let cut = await DeadlineScope.$innermost.withValue(DeadlineScope(late)) {
            await thrown([Failure()], RetryPolicy.Configuration(.idempotent))
        }
        #expect(cut is Failure)
        let empty = RetryBudget(.tokens(capacity: 1, refill: 1, transient: 1, timeout: 1, throttled: 1, hedge: 1))
        for _ in 0..<2 {
            do {
                try await RetryPolicy(
                    RetryPolicy.Configuration(.idempotent, maxAttempts: 2, backoff: .none),
                    budget: empty
                )
                .run { throw Failure() }
            } catch {
                #expect(empty.available == 0)
                #expect(error is RetryError || error is Failure)
            }
        }
        await #expect(throws: Failure.self) {
            try await RetryPolicy(RetryPolicy.Configuration(.idempotent, backoff: .none), budget: empty)
                .run { throw Failure() }
        }
    }

    @Test("a call whose attempts were all rejected is a rejection and may have been sent")
    func onlyRejections() async {
        let patient = RetryPolicy.Configuration(
            .idempotent,
            maxAttempts: 3,
            backoff: .none,
            maxRejectionWait: .seconds(1)
        )
        let rejected = await thrown([rejection], patient) as? RetryError
        #expect(rejected?.lastError is TestRejection && rejected?.attemptCount == 3)
        #expect(rejected?.isRejection == true && rejected?.mayHaveBeenSent == true)
        #expect(rejected?.category == .unavailable && rejected?.retryAfter == .zero)
        let mixed = await thrown([rejection, Failure(), rejection], patient) as? RetryError
        #expect(mixed?.reason == .attemptsExhausted && mixed?.attemptCount == 3)
    }

    @Test("a map does not make a rejection retryable")
    func mappedRejection() async {
        var runs = 0
        await #expect(throws: TestRejection.self) {
            try await RetryPolicy(
                RetryPolicy.Configuration(.idempotent),
                classifyForeign: { _ in TestReliabilityError(.unavailable) },
                clock: clock
            )
            .run {
                runs += 1
                throw rejection
            }
        }
        #expect(runs == 1)
    }

    @Test("the description counts the attempts that it leaves out")
    func leftOut() async {
        let error = await error(1000) { _ in throw Failure() }
        #expect(error?.description.contains("; … 980 more …; #991 ") == true)
    }

    @Test("rethrowsLastError throws the last error, unless the error denies that an earlier attempt was sent")
    func rethrowsLastError() async {
        let rethrowing = RetryPolicy.Configuration(.idempotent, maxAttempts: 3, backoff: .none, rethrowsLastError: true)
        #expect(
            (await thrown([TestReliabilityError(.timeout), Failure(description: "last")], rethrowing) as? Failure)?
                .description
                == "last"
        )
        #expect(await thrown([NotSentError(Failure())], rethrowing) is NotSentError)
        #expect(await thrown([Failure(), NotSentError(Failure())], rethrowing) is RetryError)
        #expect(await thrown([Failure(), rejection], rethrowing) is RetryError)
    }

    @Test("the category of a failed call never blames the client and is internal for an unknown error")
    func categories() async {
        let twice = RetryPolicy.Configuration(.idempotent, maxAttempts: 2, backoff: .none, throttledBackoff: .none)
        func category(_ error: any Error) async -> ErrorCategory? {
            (await thrown([error], twice, classify: { _ in .retry }) as? RetryError)?.category
        }
        #expect(await category(TestReliabilityError(.timeout)) == .timeout)
        #expect(await category(TestReliabilityError(.unavailable)) == .unavailable)
        for category_ in [
            ErrorCategory.invalid, .unauthenticated, .forbidden, .notFound, .conflict, .preconditionFailed, .tooLarge,
            .unprocessable, .rateLimited,
        ] {
            #expect(await category(TestReliabilityError(category_)) == .unavailable, "\(category_)")
        }
        for error in [
            TestReliabilityError(.internal), TestReliabilityError(.cancelled), Failure(), CancellationError(),
        ] as [any Error] {
            #expect(await category(error) == .internal, "\(error)")
        }
        #expect(
            await category(TestReliabilityError(ErrorCategory(rawValue: "bad_gateway")))
                == ErrorCategory(rawValue: "bad_gateway")
        )
        let busy = await thrown([TestReliabilityError(.rateLimited, retryAfter: .zero)], twice) as? RetryError
        #expect(busy?.category == .unavailable && busy?.retryAfter == .zero)
        let fault =
            await thrown([TestReliabilityError(.internal, retryAfter: .zero)], twice, classify: { _ in .retry })
            as? RetryError
        #expect(fault?.category == .internal && fault?.retryAfter == nil)
    }

    @Test("a mapped error is classified by its meaning and thrown unchanged")
    func mapped() async {
        func error(_ meaning: any ReliabilityError, _ idempotency: Idempotency = .idempotent) async -> (any Error, Int)
        {
            var runs = 0
            let retry = RetryPolicy(
                RetryPolicy.Configuration(idempotency, maxAttempts: 2, backoff: .none, throttledBackoff: .none),
                classifyForeign: { $0 is Failure ? meaning : nil },
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
        let declined = await error(TestReliabilityError(.unprocessable))
        #expect(declined.0 is Failure && declined.1 == 1)
        let busy = await error(TestReliabilityError(.rateLimited))
        #expect((busy.0 as? RetryError)?.lastError is Failure && busy.1 == 2)
        #expect((busy.0 as? RetryError)?.category == .unavailable)
        let unsent = await error(NotSentError(Failure()), .notIdempotent)
        #expect((unsent.0 as? RetryError)?.mayHaveBeenSent == false && unsent.1 == 2)
        let rejected = await error(rejection)
        #expect(rejected.0 is Failure && rejected.1 == 1)
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
        let error = RetryError(reason, AttemptLog(), lastError: Failure(), meaning: Failure())
        #expect(error.code.rawValue == code)
        #expect(error.description.hasPrefix(code))
    }
}
