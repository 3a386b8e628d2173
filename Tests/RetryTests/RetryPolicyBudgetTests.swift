import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import Retry

@Suite("RetryPolicy: budget")
struct RetryPolicyBudgetTests {
    private let clock = ManualClock()

    private func policy(
        _ budget: RetryBudget,
        maxAttempts: Int = 3,
        backoff: Backoff = .none,
        observer: (@Sendable (RetryEvent) -> Void)? = nil
    ) -> RetryPolicy {
        RetryPolicy(
            RetryPolicy.Configuration(
                .idempotent,
                maxAttempts: maxAttempts,
                backoff: backoff,
                throttledBackoff: .none
            ),
            budget: budget,
            clock: clock,
            observer: observer
        )
    }

    private func tokens(_ capacity: Int) -> RetryBudget {
        RetryBudget(.tokens(capacity: capacity, refill: 1, transient: 1, timeout: 1, throttled: 1, hedge: 1))
    }

    @Test("an exhausted budget ends the call before the wait")
    func exhausted() async {
        let budget = tokens(1)
        let retry = policy(budget, backoff: .constant(.seconds(10), jitter: .none))
        let runs = ConcurrencyCounter()
        let task = Task { try await retry.run { throw TestError(runs.increment()) } }
        await clock.advanceToNextSleeper()
        let error = await #expect(throws: RetryError.self) { try await task.value }
        #expect(error?.reason == .budgetExhausted)
        #expect(error?.lastError as? TestError == TestError(2))
        #expect(error?.attemptCount == 2)
        #expect(clock.sleeperCount == 0)
        #expect(clock.now == ManualClock().now.advanced(by: .seconds(10)))
    }

    @Test("a retry counts during its wait and after its start")
    func reserved() async {
        let budget = tokens(5)
        let retry = policy(budget, maxAttempts: 2, backoff: .constant(.seconds(10), jitter: .none))
        let task = Task { try await retry.run { throw TestError() } }
        await clock.waitForSleepers(1)
        #expect(budget.available == 4)
        await clock.advanceToNextSleeper()
        await #expect(throws: RetryError.self) { try await task.value }
        #expect(budget.available == 4)
    }

    @Test("a call cancelled during its wait refunds the cost of its retry")
    func cancelledWhileWaiting() async {
        let budget = tokens(5)
        let retry = policy(budget, backoff: .constant(.seconds(10)))
        for _ in 0..<4 {
            let task = Task { try await retry.run { throw TestError() } }
            await clock.waitForSleepers(1)
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        #expect(budget.available == 5)
    }

    @Test("cancelled calls do not change a budget of either kind")
    func cancelled() async {
        let window = RetryBudget(.window(ratio: 1, perSecond: 1, over: .seconds(1)), clock: clock)
        let bucket = tokens(5)
        _ = try? await policy(bucket, maxAttempts: 2).run { throw TestError() }
        for budget in [window, bucket] {
            let before = budget.available
            for _ in 0..<20 {
                let retry = policy(budget)
                let task = Task {
                    try await retry.run {
                        unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                        throw TestError()
                    }
                }
                await #expect(throws: TestError.self) { try await task.value }
            }
            #expect(budget.available == before)
        }
    }

    @Test("a call that succeeds at its first attempt refills the budget, and a retried call does not")
    func refill() async throws {
        let budget = tokens(5)
        func call(failures: Int) async throws {
            var runs = 0
            try await policy(budget).run {
                runs += 1
                if runs <= failures { throw TestError() }
            }
        }
        try await call(failures: 2)
        #expect(budget.available == 3)
        try await call(failures: 0)
        #expect(budget.available == 4)
    }

    @Test("a call counts once for a window, regardless of its attempts")
    func window() async {
        let budget = RetryBudget(.window(ratio: 1, perSecond: 0, over: .seconds(10)), clock: clock)
        let retry = policy(budget)
        await #expect(throws: RetryError.self) { try await retry.run { throw TestError() } }
        #expect(budget.available == 0)
        _ = try? await retry.run { 1 }
        #expect(budget.available == 1)
    }

    @Test(
        "the cost of a retry depends on the category of the error",
        arguments: [
            (ErrorCategory.unavailable, 1), (.timeout, 2), (.rateLimited, 3),
        ]
    )
    func expenses(category: ErrorCategory, cost: Int) async {
        let budget = RetryBudget(.tokens(capacity: 6, refill: 1, transient: 1, timeout: 2, throttled: 3, hedge: 1))
        _ = try? await policy(budget, maxAttempts: 2).run { throw TestReliabilityError(category) }
        #expect(budget.available == 6 - cost)
    }

    @Test("a call that is not retried costs nothing")
    func free() async {
        let budget = tokens(5)
        _ = try? await policy(budget).run { throw TestReliabilityError(.invalid) }
        _ = try? await policy(budget, maxAttempts: 1).run { throw TestError() }
        #expect(budget.available == 5)
    }

    @Test("an extra attempt of an outer policy does not count as a call")
    func nested() async {
        let budget = RetryBudget(.window(ratio: 1, perSecond: 0, over: .seconds(10)), clock: clock)
        var runs = 0
        try? await RetryPolicy(.idempotent(maxAttempts: 4, backoff: .none)).run {
            try await RetryPolicy(
                RetryPolicy.Configuration(.idempotent, maxAttempts: 1),
                budget: budget,
                classify: { _ in .stop }
            )
            .run {
                runs += 1
                if runs < 4 { throw TestError() }
            }
        }
        #expect(runs == 4)
        #expect(budget.available == 1)
    }

    @Test("a thousand simultaneous calls make no more retries than their shared budget allows")
    func concurrent() async {
        let budget = tokens(50)
        let retry = policy(budget)
        let runs = ConcurrencyCounter()
        await withTaskGroup { group in
            for _ in 0..<1000 {
                group.addTask {
                    try? await retry.run {
                        runs.increment()
                        throw TestError()
                    }
                }
            }
        }
        #expect(runs.value == 1050)
    }
}
