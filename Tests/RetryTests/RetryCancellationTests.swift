import ReliabilityCore
import ReliabilityTesting
import Retry
import Testing

@Suite("RetryPolicy and cancellation")
struct RetryCancellationTests {
    private struct Failure: Error {}
    private let clock = ManualClock()

    private func policy(budget: RetryBudget? = nil) -> RetryPolicy {
        RetryPolicy(
            RetryConfiguration(.idempotent, backoff: .constant(.seconds(10), jitter: .none)),
            budget: budget,
            clock: clock
        )
    }

    @Test("INV-5: a call that returns a value after its caller was cancelled is no call to a budget of either kind")
    func cancelledSuccess() async throws {
        let bucket = RetryBudget(.tokens(capacity: 5, refill: 1, transient: 1, timeout: 1, throttled: 1, hedge: 1))
        let window = RetryBudget(.window(ratio: 1, perSecond: 0), clock: clock)
        let task = Task { try await policy(budget: bucket).run { throw Failure() } }
        await clock.advanceToNextSleeper()
        await clock.advanceToNextSleeper()
        await #expect(throws: RetryError.self) { try await task.value }
        for budget in [bucket, window] {
            let before = budget.available
            let retry = policy(budget: budget)
            let value = await Task {
                try? await retry.run {
                    unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                    return 1
                }
            }.value
            #expect(value == 1)
            #expect(budget.available == before)
        }
    }

    @Test("INV-19: a call that is cancelled when its wait is just over makes no further attempt and costs nothing")
    @MainActor
    func cancelledAtTheEndOfTheWait() async {
        let budget = RetryBudget(.tokens(capacity: 5, refill: 1, transient: 1, timeout: 1, throttled: 1, hedge: 1))
        let retry = policy(budget: budget)
        let runs = Counter()
        let task = Task { @MainActor in
            try await retry.run {
                runs.increment()
                throw Failure()
            }
        }
        await clock.waitForSleepers(1)
        // The task cannot go on before this one suspends.
        clock.advance(by: .seconds(10))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(runs.value == 1)
        #expect(budget.available == 5)
    }

    @Test("INV-20: a call that wakes from its wait after the deadline makes no further attempt and costs nothing")
    func wokenTooLate() async {
        let timeSource = TimeSource(clock)
        let deadline = Deadline(instant: timeSource.instant(after: .seconds(11)), timeSource: timeSource)
        let budget = RetryBudget(.tokens(capacity: 5, refill: 1, transient: 1, timeout: 1, throttled: 1, hedge: 1))
        let retry = policy(budget: budget)
        let runs = Counter()
        let task = Task {
            try await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
                try await retry.run {
                    runs.increment()
                    throw Failure()
                }
            }
        }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(11))
        let error = await #expect(throws: RetryError.self) { try await task.value }
        #expect(error?.reason == .deadlineTooClose)
        #expect(error?.lastError is Failure)
        #expect(runs.value == 1)
        #expect(budget.available == 5)
    }

    @Test("INV-6: a cancellation error in a task that is not cancelled is a failure like others")
    func innerCancellation() async throws {
        var runs = 0
        let value = try await RetryPolicy(.idempotent, maxAttempts: 3, backoff: .none).run {
            runs += 1
            if runs < 3 { throw CancellationError() }
            return runs
        }
        #expect(value == 3)
        let error = await #expect(throws: RetryError.self) {
            try await RetryPolicy(.notIdempotent, backoff: .none).run { throw CancellationError() }
        }
        #expect(error?.reason == .mayHaveBeenSent)
    }
}
