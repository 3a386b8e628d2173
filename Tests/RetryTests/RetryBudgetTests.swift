import ReliabilityTesting
import Testing

@testable import Retry

@Suite("RetryBudget")
struct RetryBudgetTests {
    let clock = ManualClock()

    /// Asks for extra attempts from many tasks at once, and makes those that `isMade` says.
    private func grants(
        _ budget: RetryBudget,
        requests: Int,
        isMade: @escaping @Sendable (Int) -> Bool = { _ in true }
    ) async -> Int {
        let granted = Counter()
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

    @Test("INV-24: thousands of tasks that ask at once get as much as there is, to the last one")
    func concurrentReservations() async {
        #expect(await grants(RetryBudget(.tokens()), requests: 5000) == 500 / 14)
        let window = RetryBudget(.window(), clock: clock)
        await withTaskGroup { group in
            for _ in 0..<2000 { group.addTask { window.noteCall() } }
        }
        #expect(window.available == 500)
        #expect(await grants(window, requests: 5000) == 500)
        #expect(window.available == 0)
    }

    @Test("INV-24: calls, retries, hedges and cancelled retries all at once stay within the bound")
    func concurrentMixture() async {
        let budget = RetryBudget(.window(ratio: 0.1, perSecond: 5), clock: clock)
        let attempts = Counter()
        await withTaskGroup { group in
            for call in 0..<4000 {
                group.addTask {
                    budget.noteCall()
                    for expense in [RetryBudget.Expense.transient, .hedge] {
                        guard let reservation = budget.reserve(expense) else { continue }
                        await Task.yield()
                        // Every third is cancelled while it waits.
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

    @Test("INV-25: what is reserved counts before it begins, and comes back when it never does")
    func scheduled() {
        for configuration in [
            RetryBudgetConfiguration.tokens(capacity: 28), .window(ratio: 0, perSecond: 2, over: .seconds(1)),
        ] {
            let budget = RetryBudget(configuration, clock: clock)
            #expect(budget.available == 2)
            do {
                let first = budget.reserve(.transient)
                #expect(budget.available == 1)
                let second = budget.reserve(.transient)
                #expect(budget.available == 0)
                let isRefused = budget.reserve(.transient) == nil
                #expect(isRefused)
                first?.use()
                #expect(budget.available == 0)
                _ = consume second
            }
            #expect(budget.available == 1)
        }
    }

    @Test("reservations that are never used, from thousands of tasks, all come back")
    func refunds() async {
        for configuration in [RetryBudgetConfiguration.tokens(), .window(ratio: 0, perSecond: 100)] {
            let budget = RetryBudget(configuration, clock: clock)
            let full = budget.available
            for _ in 0..<20 { _ = await grants(budget, requests: 500) { _ in false } }
            #expect(budget.available == full)
        }
    }

    @Test("INV-27: steady success fills tokens to the capacity and no further")
    func refill() async {
        let budget = RetryBudget(.tokens(capacity: 140))
        #expect(await grants(budget, requests: 100) == 10)
        for _ in 0..<139 { budget.noteSuccess() }
        #expect(budget.available == 9)
        for _ in 0..<1000 { budget.noteSuccess() }
        #expect(budget.available == 10)
    }

    @Test("INV-27: a window fills by itself, without any call")
    func refillByTime() async {
        let budget = RetryBudget(.window(ratio: 0.2, perSecond: 1), clock: clock)
        #expect(await grants(budget, requests: 100) == 10)
        clock.advance(by: .seconds(9))
        #expect(budget.available == 0)
        clock.advance(by: .seconds(1))
        #expect(budget.available == 10)
    }

    @Test("INV-45: asking for what is available changes nothing")
    func pure() {
        let budget = RetryBudget(.window(ratio: 1, perSecond: 0), clock: clock)
        budget.noteCall()
        for _ in 0..<100 { #expect(budget.available == 1) }
        clock.advance(by: .seconds(3600))
        #expect(budget.available == 0)
    }

    @Test("a reload takes effect at once, in calls and reservations too")
    func reload() {
        let budget = RetryBudget(.tokens(), clock: clock)
        budget.reload(.window(ratio: 1, perSecond: 0))
        #expect(budget.configuration == .window(ratio: 1, perSecond: 0))
        budget.noteCall()
        #expect(budget.available == 1)
        budget.reload(.window(ratio: 0, perSecond: 0))
        #expect(budget.available == 0)
        budget.reload(.tokens(capacity: 14))
        #expect(budget.available == 1)
    }

    @Test("bad numbers are refused at construction")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) { _ = RetryBudgetConfiguration.tokens(capacity: 0) }
        await #expect(processExitsWith: .failure) { _ = RetryBudgetConfiguration.tokens(capacity: 13) }
        await #expect(processExitsWith: .failure) { _ = RetryBudgetConfiguration.tokens(refill: 0) }
        await #expect(processExitsWith: .failure) { _ = RetryBudgetConfiguration.window(ratio: .nan) }
        await #expect(processExitsWith: .failure) { _ = RetryBudgetConfiguration.window(ratio: .infinity) }
        await #expect(processExitsWith: .failure) { _ = RetryBudgetConfiguration.window(perSecond: -1) }
        await #expect(processExitsWith: .failure) { _ = RetryBudgetConfiguration.window(over: .zero) }
    }
}
