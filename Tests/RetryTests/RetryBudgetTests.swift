import ReliabilityTesting
import Testing

@testable import Retry

@Suite("RetryBudget")
struct RetryBudgetTests {
    let clock = ManualClock()

    /// Requests extra attempts from concurrent tasks, and uses the reservations for which `isMade` returns `true`.
    private func grants(
        _ budget: RetryBudget,
        requests: Int,
        isMade: @escaping @Sendable (Int) -> Bool = { _ in true }
    ) async -> Int {
        let granted = ConcurrencyCounter()
        await withTaskGroup { group in
            for request in 0..<requests {
                group.addTask {
                    guard let reservation = budget.reserve(.transient) else { return }
                    granted.increment()
                    if isMade(request) { reservation.use() }
                }
            }
        }
        return granted.value
    }

    @Test("thousands of simultaneous reservations receive exactly the available attempts")
    func concurrentReservations() async {
        #expect(await grants(RetryBudget(.tokens()), requests: 5000) == 500 / 14)
        // Enough requests for some to coincide.
        let large = RetryBudget(.tokens(capacity: 10_000, transient: 1))
        let granted = ConcurrencyCounter()
        await withTaskGroup { group in
            for _ in 0..<2000 {
                group.addTask {
                    for _ in 0..<10 {
                        guard let reservation = large.reserve(.transient) else { return }
                        granted.increment()
                        reservation.use()
                    }
                }
            }
        }
        #expect(granted.value == 10_000)
        let window = RetryBudget(.window(), clock: clock)
        await withTaskGroup { group in
            for _ in 0..<2000 { group.addTask { window.recordCall() } }
        }
        #expect(window.available == 500)
        #expect(await grants(window, requests: 5000) == 500)
        #expect(window.available == 0)
    }

    @Test("simultaneous calls, retries, hedges and cancelled retries stay within the bound")
    func concurrentMixture() async {
        let budget = RetryBudget(.window(ratio: 0.1, perSecond: 5), clock: clock)
        let attempts = ConcurrencyCounter()
        await withTaskGroup { group in
            for call in 0..<4000 {
                group.addTask {
                    budget.recordCall()
                    for expense in [RetryCost.transient, .hedge] {
                        guard let reservation = budget.reserve(expense) else { continue }
                        await Task.yield()
                        // Every third attempt is cancelled during its wait.
                        if call % 3 == 0 { continue }
                        attempts.increment()
                        reservation.use()
                    }
                }
            }
        }
        #expect(attempts.value <= 50 + 400)
        #expect(budget.available == 450 - attempts.value)
    }

    @Test("a reserved attempt counts before its start and is refunded if it never starts")
    func scheduled() {
        for configuration in [
            RetryBudget.Configuration.tokens(capacity: 28), .window(ratio: 0, perSecond: 2, over: .seconds(1)),
        ] {
            let budget = RetryBudget(configuration, clock: clock)
            #expect(budget.available == 2)
            do {
                let first = budget.reserve(.transient)
                #expect(budget.available == 1)
                let second = budget.reserve(.transient)
                #expect(budget.available == 0)
                let isRejected = budget.reserve(.transient) == nil
                #expect(isRejected)
                first?.use()
                #expect(budget.available == 0)
                _ = consume second
            }
            #expect(budget.available == 1)
        }
    }

    @Test("the unused reservations of thousands of tasks are all refunded")
    func refunds() async {
        for configuration in [RetryBudget.Configuration.tokens(), .window(ratio: 0, perSecond: 100)] {
            let budget = RetryBudget(configuration, clock: clock)
            let full = budget.available
            for _ in 0..<20 { _ = await grants(budget, requests: 500) { _ in false } }
            #expect(budget.available == full)
        }
    }

    @Test("steady success refills tokens up to the capacity")
    func refill() async {
        let budget = RetryBudget(.tokens(capacity: 140))
        #expect(await grants(budget, requests: 100) == 10)
        for _ in 0..<139 { budget.recordSuccess() }
        #expect(budget.available == 9)
        for _ in 0..<1000 { budget.recordSuccess() }
        #expect(budget.available == 10)
    }

    @Test("a window refills over time without calls")
    func refillByTime() async {
        let budget = RetryBudget(.window(ratio: 0.2, perSecond: 1), clock: clock)
        #expect(await grants(budget, requests: 100) == 10)
        clock.advance(by: .seconds(9))
        #expect(budget.available == 0)
        clock.advance(by: .seconds(1))
        #expect(budget.available == 10)
    }

    @Test("reading the available attempts changes nothing")
    func pure() {
        let budget = RetryBudget(.window(ratio: 1, perSecond: 0), clock: clock)
        budget.recordCall()
        for _ in 0..<100 { #expect(budget.available == 1) }
        clock.advance(by: .seconds(3600))
        #expect(budget.available == 0)
    }

    @Test("a reload takes effect immediately")
    func reload() throws {
        let budget = RetryBudget(.tokens(), clock: clock)
        try budget.reload(.window(ratio: 1, perSecond: 0))
        #expect(budget.configuration == .window(ratio: 1, perSecond: 0))
        budget.recordCall()
        #expect(budget.available == 1)
        try budget.reload(.window(ratio: 0, perSecond: 0))
        #expect(budget.available == 0)
        try budget.reload(.tokens(capacity: 14))
        #expect(budget.available == 1)
    }

    @Test("invalid numbers are rejected at construction")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) { _ = RetryBudget(.tokens(capacity: 0)) }
        await #expect(processExitsWith: .failure) { _ = RetryBudget(.tokens(capacity: 13)) }
        await #expect(processExitsWith: .failure) { _ = RetryBudget(.tokens(refill: 0)) }
        await #expect(processExitsWith: .failure) { _ = RetryBudget(.window(ratio: .nan)) }
        await #expect(processExitsWith: .failure) { _ = RetryBudget(.window(ratio: .infinity)) }
        await #expect(processExitsWith: .failure) { _ = RetryBudget(.window(perSecond: -1)) }
        await #expect(processExitsWith: .failure) { _ = RetryBudget(.window(over: .zero)) }
    }
}
