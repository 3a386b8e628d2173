import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCore

@Suite("Outcome")
struct OutcomeTests {
    @Test("an error is ignored if the caller was cancelled or a policy rejected the call")
    func ofThrown() async {
        #expect(Outcome.ofThrown(TestReliabilityError(), wasCancelledBefore: false) == .failure)
        #expect(Outcome.ofThrown(TestRejection(), wasCancelledBefore: false) == .ignored)
        // The type of the error does not matter: this caller was not cancelled.
        #expect(Outcome.ofThrown(CancellationError(), wasCancelledBefore: false) == .failure)
        let cancelled = Task {
            unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() }
            return Outcome.ofThrown(TestReliabilityError(), wasCancelledBefore: false)
        }
        #expect(await cancelled.value == .ignored)
    }

    @Test("an error that blames the request is a success, throttling is ignored, and other errors are failures")
    func standardOutcome() {
        let answers: [ErrorCategory] = [
            .invalid, .unauthenticated, .forbidden, .notFound, .conflict, .preconditionFailed, .tooLarge,
            .unprocessable,
        ]
        for category in answers { #expect(Outcome.standard(for: TestReliabilityError(category)) == .success) }
        #expect(Outcome.standard(for: TestReliabilityError(.rateLimited)) == .ignored)
        let failures: [ErrorCategory] = [
            .timeout, .unavailable, .cancelled, .internal, ErrorCategory(rawValue: "new"),
        ]
        for category in failures { #expect(Outcome.standard(for: TestReliabilityError(category)) == .failure) }
        #expect(Outcome.standard(for: TestError()) == .failure)
    }
}
