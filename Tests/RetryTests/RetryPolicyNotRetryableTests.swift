import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import Retry

@Suite("RetryPolicy: errors that are not retryable")
struct RetryPolicyNotRetryableTests {
    @Test("a last error that states that nothing was sent does not hide an earlier attempt that may have been sent")
    func contradiction() async throws {
        var runs = 0
        let error = await #expect(throws: RetryError.self) {
            try await RetryPolicy(.idempotent(maxAttempts: 3, backoff: .none)).run {
                runs += 1
                if runs == 1 { throw TestError() }
                throw NotSentError(TestReliabilityError(.invalid))
            }
        }
        #expect(runs == 2)
        #expect(error?.reason == .notRetryable)
        #expect(error?.code == "retry.not_retryable")
        #expect(error?.mayHaveBeenSent == true)
        #expect(error?.lastError is NotSentError)
    }

    @Test("without an earlier attempt that may have been sent, the error is thrown unchanged")
    func noContradiction() async {
        var runs = 0
        await #expect(throws: NotSentError.self) {
            try await RetryPolicy(.idempotent(maxAttempts: 3, backoff: .none)).run {
                runs += 1
                throw runs == 1 ? NotSentError(TestError()) : NotSentError(TestReliabilityError(.invalid))
            }
        }
        #expect(runs == 2)
    }

    @Test("a single attempt throws its error unchanged and reports nothing")
    func singleAttempt() async throws {
        let events = EventRecorder<RetryEvent>()
        let retry = RetryPolicy(.idempotent(maxAttempts: 3, backoff: .none), observer: events.record)
        var runs = 0
        await #expect(throws: TestRejection.self) { try await retry.run { throw TestRejection() } }
        // The next event is the first event.
        try await retry.run {
            runs += 1
            if runs == 1 { throw TestError() }
        }
        guard case .retrying? = await events.wait(for: 1).first else {
            Issue.record("the first event is not a retry: \(await events.wait(for: 1))")
            return
        }
    }

    @Test("an outer retry of a call that is not idempotent does not repeat a call that may have been sent")
    func nested() async {
        var runs = 0
        let outer = RetryPolicy(.notIdempotent(maxAttempts: 3, backoff: .none), classify: { _ in .retry })
        await #expect(throws: RetryError.self) {
            try await outer.run {
                try await RetryPolicy(.idempotent(maxAttempts: 3, backoff: .none)).run {
                    runs += 1
                    if runs == 1 { throw TestError() }
                    throw NotSentError(TestReliabilityError(.invalid))
                }
            }
        }
        #expect(runs == 2)
    }
}
