import ReliabilityCore
import ReliabilityTesting
import Retry
import TestSupport
import Testing

@Suite("RetryPolicy: cancellation")
struct RetryPolicyCancellationTests {
    private let clock = ManualClock()

    private func policy(budget: RetryBudget? = nil) -> RetryPolicy {
        RetryPolicy(
            RetryPolicy.Configuration(.idempotent, backoff: .constant(.seconds(10), jitter: .none)),
            budget: budget,
            clock: clock
        )
    }

    @Test("a call that succeeds after its caller's cancellation does not change a budget of either kind")
    func cancelledSuccess() async throws {
        let bucket = RetryBudget(.tokens(capacity: 5, refill: 1, transient: 1, timeout: 1, throttled: 1, hedge: 1))
        let window = RetryBudget(.window(ratio: 1, perSecond: 0), clock: clock)
        let task = Task { try await policy(budget: bucket).run { throw TestError() } }
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

    @Test("a call cancelled at the end of its wait makes no further attempt and costs nothing")
    @MainActor
    func cancelledAtTheEndOfTheWait() async {
        let budget = RetryBudget(.tokens(capacity: 5, refill: 1, transient: 1, timeout: 1, throttled: 1, hedge: 1))
        let retry = policy(budget: budget)
        let runs = ConcurrencyCounter()
        let task = Task { @MainActor in
            try await retry.run {
                runs.increment()
                throw TestError()
            }
        }
        await clock.waitForSleepers(1)
        // The task cannot resume before this task suspends.
        clock.advance(by: .seconds(10))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(runs.value == 1)
        #expect(budget.available == 5)
    }

    @Test("a call that resumes after the deadline makes no further attempt and costs nothing")
    func wokenTooLate() async {
        let timeSource = TimeSource(clock)
        let deadline = Deadline(instant: timeSource.instant(after: .seconds(11)), timeSource: timeSource)
        let budget = RetryBudget(.tokens(capacity: 5, refill: 1, transient: 1, timeout: 1, throttled: 1, hedge: 1))
        let retry = policy(budget: budget)
        let runs = ConcurrencyCounter()
        let task = Task {
            try await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
                try await retry.run {
                    runs.increment()
                    throw TestError()
                }
            }
        }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(11))
        await #expect(throws: TestError.self) { try await task.value }
        #expect(runs.value == 1)
        #expect(budget.available == 5)
    }

    @Test("CancellationError in a task that is not cancelled is retried like any other error")
    func innerCancellation() async throws {
        var runs = 0
        let value = try await RetryPolicy(.idempotent(maxAttempts: 3, backoff: .none)).run {
            runs += 1
            if runs < 3 { throw CancellationError() }
            return runs
        }
        #expect(value == 3)
        await #expect(throws: CancellationError.self) {
            try await RetryPolicy(.notIdempotent(maxAttempts: 3, backoff: .none)).run { throw CancellationError() }
        }
    }
}
