import ReliabilityCore
import ReliabilityTesting
import Retry
import TestSupport
import Testing

@Suite("Idempotency")
struct IdempotencyTests {
    /// The number of attempts of a call that always throws `error`, and the error of the call.
    private func attempts(_ idempotency: Idempotency, _ error: some Error) async -> (count: Int, error: (any Error)?) {
        var runs = 0
        do {
            try await RetryPolicy(RetryPolicy.Configuration(idempotency, maxAttempts: 3, backoff: .none)).run {
                runs += 1
                throw error
            }
            return (runs, nil)
        } catch {
            return (runs, error)
        }
    }

    @Test("an idempotent call is retried after an unknown error")
    func idempotent() async {
        #expect(await attempts(.idempotent, TestError()).count == 3)
    }

    @Test("a call that is not idempotent is not retried after an unknown error")
    func notIdempotent() async {
        let (count, error) = await attempts(.notIdempotent, TestError())
        #expect(count == 1)
        #expect(error is TestError)
    }

    @Test("the error and the event report a call that may have been sent")
    func mayHaveBeenSent() async {
        let events = EventRecorder<RetryEvent>()
        let retry = RetryPolicy(
            RetryPolicy.Configuration(.notIdempotent, maxAttempts: 3, backoff: .none),
            observer: events.record
        )
        var runs = 0
        let error = await #expect(throws: RetryError.self) {
            try await retry.run {
                runs += 1
                if runs == 1 { throw NotSentError(TestError()) }
                throw TestError()
            }
        }
        #expect(runs == 2)
        #expect(error?.reason == .mayHaveBeenSent)
        #expect(error?.code == "retry.may_have_been_sent")
        #expect(error?.mayHaveBeenSent == true)
        #expect(error?.lastError is TestError)
        await #expect(throws: TestError.self) { try await retry.run { throw TestError() } }
        guard case .gaveUp(let final)? = await events.wait(for: 3).last else {
            Issue.record("\(events.events)")
            return
        }
        #expect(final.reason == .mayHaveBeenSent && final.attemptCount == 1)
    }

    @Test("a call that is not idempotent is not retried after an error with a retry-after")
    func retryAfter() async {
        #expect(await attempts(.notIdempotent, TestReliabilityError(retryAfter: .zero)).count == 1)
    }

    @Test("a call that is not idempotent is retried after NotSentError")
    func notSent() async {
        let (count, error) = await attempts(.notIdempotent, NotSentError(TestError()))
        #expect(count == 3)
        #expect((error as? RetryError)?.reason == .attemptsExhausted)
        #expect((error as? RetryError)?.mayHaveBeenSent == false)
        #expect((error as? RetryError)?.isRejection == false)
    }

    @Test("a rejection from inside the operation does not prove that nothing was sent")
    func rejected() async {
        var runs = 0
        let retry = RetryPolicy(
            RetryPolicy.Configuration(.notIdempotent, backoff: .none, maxRejectionWait: .seconds(1)),
            clock: ManualClock()
        )
        await #expect(throws: TestRejection.self) {
            try await retry.run {
                runs += 1
                throw TestRejection(retryAfter: .zero)
            }
        }
        #expect(runs == 1)
    }

    @Test("NotSentError permits a retry even if it wraps a rejection")
    func statedRejection() async {
        var runs = 0
        let retry = RetryPolicy(
            RetryPolicy.Configuration(.notIdempotent, backoff: .none, maxRejectionWait: .seconds(1)),
            clock: ManualClock()
        )
        await #expect(throws: NotSentError.self) {
            try await retry.run {
                runs += 1
                throw NotSentError(TestRejection(retryAfter: .zero))
            }
        }
        #expect(runs == 3)
    }

    @Test("a classification cannot permit a retry of a call that may have been sent")
    func classification() async {
        var runs = 0
        let retry = RetryPolicy(RetryPolicy.Configuration(.notIdempotent, backoff: .none), classify: { _ in .retry })
        await #expect(throws: TestError.self) {
            try await retry.run {
                runs += 1
                throw TestError()
            }
        }
        #expect(runs == 1)
    }

    @Test("a permanent error is thrown unchanged, even inside NotSentError")
    func permanent() async {
        let (count, error) = await attempts(.notIdempotent, NotSentError(TestReliabilityError(.invalid)))
        #expect(count == 1)
        #expect(error is NotSentError)
    }

    @Test("a call may have been sent if one of its attempts may have been sent")
    func anyAttempt() async {
        var runs = 0
        let error = await #expect(throws: RetryError.self) {
            try await RetryPolicy(.idempotent(maxAttempts: 3, backoff: .none)).run {
                runs += 1
                if runs == 2 { throw TestError() }
                throw NotSentError(TestError())
            }
        }
        #expect(error?.mayHaveBeenSent == true)
    }

    @Test("NotSentError has the category and the retry-after of the wrapped error")
    func notSentError() {
        let error = NotSentError(TestReliabilityError(.rateLimited, retryAfter: .seconds(3)))
        #expect(error.category == .rateLimited)
        #expect(error.retryAfter == .seconds(3))
        #expect(!error.isRejection && !error.mayHaveBeenSent)
        #expect(error.code == "retry.not_sent")
        #expect(error.description.hasPrefix("retry.not_sent: "))
        #expect(NotSentError(TestError()).category == .unavailable)
    }
}
