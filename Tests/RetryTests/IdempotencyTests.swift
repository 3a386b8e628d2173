import ReliabilityCore
import ReliabilityTesting
import Retry
import Testing

@Suite("Idempotency")
struct IdempotencyTests {
    private struct Failure: Error {}
    private struct Known: ReliabilityError {
        var code: ErrorCode { "test.known" }
        var category: ErrorCategory = .unavailable
        var message: String { "Known." }
        var retryAfter: Duration?
        var isRejection = false
    }

    /// How often a call that always fails so is made.
    private func attempts(_ idempotency: Idempotency, _ error: some Error) async -> (count: Int, error: (any Error)?) {
        var runs = 0
        do {
            try await RetryPolicy(idempotency, maxAttempts: 3, backoff: .none).run {
                runs += 1
                throw error
            }
            return (runs, nil)
        } catch {
            return (runs, error)
        }
    }

    @Test("an idempotent call is tried again after an error that says nothing")
    func idempotent() async {
        #expect(await attempts(.idempotent, Failure()).count == 3)
    }

    @Test("a call that is not idempotent is not tried again after an error that says nothing")
    func notIdempotent() async {
        let (count, error) = await attempts(.notIdempotent, Failure())
        #expect(count == 1)
        let final = error as? RetryError
        #expect(final?.reason == .mayHaveBeenSent)
        #expect(final?.code == "retry.may_have_been_sent")
        #expect(final?.mayHaveBeenSent == true)
        #expect(final?.lastError is Failure)
    }

    @Test("a call that is not idempotent is not tried again after an answer, even one that asks for it")
    func answered() async {
        #expect(await attempts(.notIdempotent, Known(retryAfter: .zero)).count == 1)
    }

    @Test("a call that is not idempotent is tried again when the operation knows that it was not sent")
    func notSent() async {
        let (count, error) = await attempts(.notIdempotent, NotSentError(Failure()))
        #expect(count == 3)
        #expect((error as? RetryError)?.reason == .attemptsExhausted)
        #expect((error as? RetryError)?.mayHaveBeenSent == false)
        #expect((error as? RetryError)?.isRejection == false)
    }

    @Test("a rejection from inside the operation proves nothing: the call may have been sent before")
    func rejected() async {
        let (count, error) = await attempts(.notIdempotent, Known(retryAfter: .zero, isRejection: true))
        #expect(count == 1)
        #expect((error as? RetryError)?.mayHaveBeenSent == true)
    }

    @Test("an operation's statement that nothing was sent is believed, though it wraps a rejection")
    func statedRejection() async {
        let error = NotSentError(Known(retryAfter: .zero, isRejection: true))
        #expect(await attempts(.notIdempotent, error).count == 3)
    }

    @Test("a retryable classification does not lift the bar")
    func classification() async {
        var runs = 0
        let retry = RetryPolicy(RetryConfiguration(.notIdempotent, backoff: .none), classify: { _ in .retry })
        await #expect(throws: RetryError.self) {
            try await retry.run {
                runs += 1
                throw Failure()
            }
        }
        #expect(runs == 1)
    }

    @Test("what cannot pass is thrown as it is, whether it was sent or not")
    func cannotPass() async {
        let (count, error) = await attempts(.notIdempotent, NotSentError(Known(category: .invalid)))
        #expect(count == 1)
        #expect(error is NotSentError)
    }

    @Test("of several attempts, one that may have been sent is enough")
    func anyAttempt() async {
        var runs = 0
        let error = await #expect(throws: RetryError.self) {
            try await RetryPolicy(.idempotent, maxAttempts: 3, backoff: .none).run {
                runs += 1
                if runs == 2 { throw Failure() }
                throw NotSentError(Failure())
            }
        }
        #expect(error?.mayHaveBeenSent == true)
    }

    @Test("an error that was not sent has the category and the hint of the one it wraps")
    func notSentError() {
        let error = NotSentError(Known(category: .rateLimited, retryAfter: .seconds(3)))
        #expect(error.category == .rateLimited)
        #expect(error.retryAfter == .seconds(3))
        #expect(!error.isRejection && !error.mayHaveBeenSent)
        #expect(error.code == "retry.not_sent")
        #expect(error.description.hasPrefix("retry.not_sent: "))
        #expect(NotSentError(Failure()).category == .unavailable)
    }
}
