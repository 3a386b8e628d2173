import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import Retry

@Suite("RetryPolicy with a budget")
struct RetryBudgetUseTests {
    private struct Failure: Error, Equatable {
        var number = 0
    }
    private struct Known: ReliabilityError {
        var code: ErrorCode { "test.known" }
        var category: ErrorCategory
        var message: String { "Known." }
    }
    private let clock = ManualClock()

    private func policy(
        _ budget: RetryBudget,
        maxAttempts: Int = 3,
        backoff: Backoff = .none,
        observer: (@Sendable (RetryEvent) -> Void)? = nil
    ) -> RetryPolicy {
        RetryPolicy(
            RetryConfiguration(
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

    @Test("INV-21: an exhausted budget is asked before the wait, and there is none")
    func exhausted() async {
        let budget = tokens(1)
        let retry = policy(budget, backoff: .constant(.seconds(10), jitter: .none))
        let runs = Counter()
        let task = Task { try await retry.run { throw Failure(number: runs.increment()) } }
        await clock.advanceToNextSleeper()
        let error = await #expect(throws: RetryError.self) { try await task.value }
        #expect(error?.reason == .budgetExhausted)
        #expect(error?.lastError as? Failure == Failure(number: 2))
        #expect(error?.attemptCount == 2)
        #expect(clock.sleeperCount == 0)
        #expect(clock.now == ManualClock().now.advanced(by: .seconds(10)))
    }

    @Test("INV-21: a retry counts while it waits, and when it has begun")
    func reserved() async {
        let budget = tokens(5)
        let retry = policy(budget, maxAttempts: 2, backoff: .constant(.seconds(10), jitter: .none))
        let task = Task { try await retry.run { throw Failure() } }
        await clock.waitForSleepers(1)
        #expect(budget.available == 4)
        await clock.advanceToNextSleeper()
        await #expect(throws: RetryError.self) { try await task.value }
        #expect(budget.available == 4)
    }

    @Test("INV-5: a call that is cancelled while it waits gives back what its retry cost")
    func cancelledWhileWaiting() async {
        let budget = tokens(5)
        let retry = policy(budget, backoff: .constant(.seconds(10)))
        for _ in 0..<20 {
            let task = Task { try await retry.run { throw Failure() } }
            await clock.waitForSleepers(1)
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        #expect(budget.available == 5)
    }

    @Test("INV-5: calls that are cancelled leave a budget as it was, of either kind")
    func cancelled() async {
        let window = RetryBudget(.window(ratio: 1, perSecond: 1, over: .seconds(1)), clock: clock)
        let bucket = tokens(5)
        _ = try? await policy(bucket, maxAttempts: 2).run { throw Failure() }
        for budget in [window, bucket] {
            let before = budget.available
            for _ in 0..<20 {
                let retry = policy(budget)
                let task = Task {
                    try await retry.run {
                        unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                        throw Failure()
                    }
                }
                await #expect(throws: Failure.self) { try await task.value }
            }
            #expect(budget.available == before)
        }
    }

    @Test("a call that succeeds at once refills, and one that needed a retry does not")
    func refill() async throws {
        let budget = tokens(5)
        func call(failures: Int) async throws {
            var runs = 0
            try await policy(budget).run {
                runs += 1
                if runs <= failures { throw Failure() }
            }
        }
        try await call(failures: 2)
        #expect(budget.available == 3)
        try await call(failures: 0)
        #expect(budget.available == 4)
    }

    @Test("a call counts once for a window, however many attempts it makes")
    func window() async {
        let budget = RetryBudget(.window(ratio: 1, perSecond: 0, over: .seconds(10)), clock: clock)
        let retry = policy(budget)
        await #expect(throws: RetryError.self) { try await retry.run { throw Failure() } }
        #expect(budget.available == 0)
        _ = try? await retry.run { 1 }
        #expect(budget.available == 1)
    }

    @Test(
        "what a retry costs depends on what went wrong",
        arguments: [
            (ErrorCategory.unavailable, 1), (.timeout, 2), (.rateLimited, 3),
        ]
    )
    func expenses(category: ErrorCategory, cost: Int) async {
        let budget = RetryBudget(.tokens(capacity: 6, refill: 1, transient: 1, timeout: 2, throttled: 3, hedge: 1))
        _ = try? await policy(budget, maxAttempts: 2).run { throw Known(category: category) }
        #expect(budget.available == 6 - cost)
    }

    @Test("what is not tried again costs nothing")
    func free() async {
        let budget = tokens(5)
        _ = try? await policy(budget).run { throw Known(category: .invalid) }
        _ = try? await policy(budget, maxAttempts: 1).run { throw Failure() }
        #expect(budget.available == 5)
    }

    @Test("an extra attempt of a policy further out is no call to the budget")
    func nested() async {
        let budget = RetryBudget(.window(ratio: 1, perSecond: 0, over: .seconds(10)), clock: clock)
        var runs = 0
        try? await RetryPolicy(.idempotent, maxAttempts: 4, backoff: .none).run {
            try await RetryPolicy(
                RetryConfiguration(.idempotent, maxAttempts: 1),
                classify: { _ in .stop },
                budget: budget
            )
            .run {
                runs += 1
                if runs < 4 { throw Failure() }
            }
        }
        #expect(runs == 4)
        #expect(budget.available == 1)
    }

    @Test("a thousand calls at once that share a budget make no more retries than it has")
    func concurrent() async {
        let budget = tokens(50)
        let retry = policy(budget)
        let runs = Counter()
        await withTaskGroup { group in
            for _ in 0..<1000 {
                group.addTask {
                    try? await retry.run {
                        runs.increment()
                        throw Failure()
                    }
                }
            }
        }
        #expect(runs.value == 1050)
    }
}
