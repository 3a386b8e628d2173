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
                retry.exhausted: no attempt is left after 3 attempt(s), ran 6.0 seconds, waited 20.0 seconds: \
                #1 ran 1.0 seconds: failure 1; #2 after 10.0 seconds ran 2.0 seconds: failure 2; \
                #3 after 10.0 seconds ran 3.0 seconds: failure 3
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

    @Test("a call of which one attempt reached the dependency is evidence, though the last was refused")
    func evidence() async {
        let mixed = await error(2) { if $0 == 1 { throw Failure() } else { throw Refusal() } }
        #expect(mixed?.isRejection == false && mixed?.mayHaveBeenSent == true)
        // No evidence; but something may have been sent before the rejections came.
        let rejected = await error(2) { _ in throw Refusal() }
        #expect(rejected?.isRejection == true && rejected?.mayHaveBeenSent == true)
    }

    @Test(
        "each reason has its own code",
        arguments: [
            (RetryError.Reason.attemptsExhausted, "retry.exhausted"), (.mayHaveBeenSent, "retry.may_have_been_sent"),
            (.deadlineTooClose, "retry.deadline_too_close"), (.retryAfterTooLong, "retry.retry_after_too_long"),
            (.budgetExhausted, "retry.budget_exhausted"),
        ]
    )
    func codes(reason: RetryError.Reason, code: String) {
        let error = RetryError(reason, RetryHistory(), lastError: Failure())
        #expect(error.code.rawValue == code)
        #expect(error.description.hasPrefix(code))
        #expect(error.category == .unavailable)
    }

    @Test("times and counts of a history saturate")
    func saturates() {
        var history = RetryHistory()
        for _ in 0..<3 { history.append(Failure(), wasPossiblySent: true, waited: .max, took: .max) }
        #expect(history.running == .max && history.waiting == .max && history.count == 3)
    }
}
