import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import Retry

private struct Broken: Error, Equatable {
    var attempt = 0
}

private struct Refusal: ReliabilityError {
    var code: ErrorCode { "test.refusal" }
    var category: ErrorCategory = .invalid
    var message: String { "Refused." }
    var retryAfter: Duration?
    var isRejection = false
}

@Suite("HedgePolicy")
struct HedgePolicyTests {
    let clock = ManualClock()
    let events = EventRecorder<HedgeEvent>()

    func policy(maxHedges: Int = 1, budget: RetryBudget? = nil) -> HedgePolicy {
        HedgePolicy(
            HedgeConfiguration(after: .fixed(.milliseconds(50)), maxHedges: maxHedges),
            budget: budget,
            clock: clock,
            observer: events.record
        )
    }

    /// An attempt that takes as long as its number says, and then returns the number.
    func answer(_ attempt: Int, after durations: [Duration]) async throws -> Int {
        try await clock.sleep(for: durations[attempt - 1])
        return attempt
    }

    func names(_ events: [HedgeEvent]) -> [String] {
        events.map { event in
            switch event {
            case .hedged(let attempt, let after): "hedged \(attempt) after \(after)"
            case .suppressed: "suppressed"
            case .budgetExhausted(let attempt): "no budget for \(attempt)"
            case .won(let attempt): "won \(attempt)"
            case .failed(let error): "failed \(error.attempts.map(\.number))"
            case .missed(let count): "missed \(count)"
            }
        }
    }

    @Test("a call that answers in time is not hedged, and leaves no timer behind")
    func inTime() async throws {
        let calls = Counter()
        let value = try await policy().run { attempt in
            calls.increment()
            return attempt
        }
        #expect(value == 1)
        #expect(calls.value == 1)
        #expect(clock.sleeperCount == 0)
    }

    @Test("when the answer is late, another attempt begins, and the first that answers wins")
    func late() async throws {
        let hedge = policy()
        let task = Task { try await hedge.run { try await answer($0, after: [.seconds(10), .milliseconds(5)]) } }
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(50))
        // The hedge, and the first attempt; there is no third, so no delay.
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(5))
        #expect(try await task.value == 2)
        #expect(clock.sleeperCount == 0)
        #expect(names(await events.wait(for: 2)) == ["hedged 2 after 0.05 seconds", "won 2"])
    }

    @Test("each further hedge waits for the delay again")
    func several() async throws {
        let hedge = policy(maxHedges: 3)
        let task = Task { try await hedge.run { try await answer($0, after: Array(repeating: .seconds(1), count: 4)) } }
        for sleepers in [2, 3, 4] {
            await clock.waitForSleepers(sleepers)
            clock.advance(by: .milliseconds(50))
        }
        await clock.waitForSleepers(4)
        clock.advance(by: .milliseconds(850))
        #expect(try await task.value == 1)
        #expect(
            names(await events.wait(for: 4)) == [
                "hedged 2 after 0.05 seconds", "hedged 3 after 0.1 seconds", "hedged 4 after 0.15 seconds", "won 1",
            ]
        )
    }

    @Test("INV-28: a success wins over failures that came before it", arguments: 1...3)
    func successAfterFailures(good: Int) async throws {
        let value = try await policy(maxHedges: 2).run { attempt in
            if attempt < good { throw Broken(attempt: attempt) }
            return attempt
        }
        #expect(value == good)
        #expect(clock.sleeperCount == 0)
    }

    @Test("INV-28: a hedge that fails fast does not end a slow first attempt", arguments: [true, false])
    func fastFailure(canBeMended: Bool) async throws {
        let hedge = policy()
        let task = Task {
            try await hedge.run { attempt in
                if attempt == 2 { throw canBeMended ? Broken() : Refusal() }
                return try await answer(attempt, after: [.seconds(1)])
            }
        }
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(50))
        _ = await events.wait(for: 1)
        await clock.waitForSleepers(1)
        clock.advance(by: .milliseconds(950))
        #expect(try await task.value == 1)
    }

    @Test("INV-28: when all fail, the error has every attempt with its times and its own error")
    func allFail() async throws {
        let hedge = policy(maxHedges: 2)
        let task = Task {
            try await hedge.run { attempt -> Int in
                if attempt == 1 { try await clock.sleep(for: .milliseconds(70)) }
                throw Broken(attempt: attempt)
            }
        }
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(50))
        // The second has failed at once; the first and the delay of the third are left.
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(20))
        let error = await #expect(throws: HedgeError.self) { try await task.value }
        let attempts = try #require(error?.attempts)
        #expect(attempts.map(\.number) == [2, 1, 3])
        #expect(attempts.map { $0.error as? Broken } == [2, 1, 3].map(Broken.init(attempt:)))
        #expect(attempts.map(\.startedAfter) == [.milliseconds(50), .zero, .milliseconds(70)])
        #expect(attempts.map(\.took) == [.zero, .milliseconds(70), .zero])
        #expect(error?.decisiveError as? Broken == Broken(attempt: 3))
        #expect(error?.category == .internal)
        #expect(error?.mayHaveBeenSent == true)
        #expect(clock.sleeperCount == 0)
    }

    @Test("an error that no attempt can mend starts no other, and is thrown as it is")
    func permanent() async {
        let calls = Counter()
        await #expect(throws: Refusal.self) {
            try await policy(maxHedges: 5).run { _ -> Int in
                calls.increment()
                throw Refusal()
            }
        }
        #expect(calls.value == 1)
    }

    @Test("of several errors the one that no attempt can mend decides what the call's error says")
    func decisive() async {
        let error = await #expect(throws: HedgeError.self) {
            try await policy(maxHedges: 3).run { attempt -> Int in
                if attempt == 2 { throw Refusal(retryAfter: .seconds(3)) }
                throw Broken()
            }
        }
        #expect(error?.attempts.count == 2)
        // Not the fault of this service's client.
        #expect(error?.category == .unavailable)
        #expect(error?.decisiveError is Refusal)
        #expect(error?.retryAfter == .seconds(3))
        #expect(error?.isRejection == false)
    }

    @Test("INV-28: losers are cancelled, awaited, and what they return late is disposed of once, in a task that lives")
    func disposal() async throws {
        let hedge = policy(maxHedges: 2)
        let disposed = EventRecorder<String>()
        let ended = Counter()
        let task = Task {
            try await hedge.run { attempt in
                defer { ended.increment() }
                if attempt == 3 { return 3 }
                do { try await clock.sleep(for: .seconds(60)) } catch {
                    if attempt == 1 { throw error }
                }
                return attempt
            } disposing: { late in
                await Task.yield()
                disposed.record("\(late), cancelled: \(Task.isCancelled)")
            }
        }
        for sleepers in [2, 3] {
            await clock.waitForSleepers(sleepers)
            clock.advance(by: .milliseconds(50))
        }
        #expect(try await task.value == 3)
        #expect(ended.value == 3)
        #expect(disposed.events == ["2, cancelled: false"])
    }

    @Test("cancelling the caller cancels every attempt, starts no other and throws the attempt's own error")
    func callerCancelled() async {
        let budget = RetryBudget()
        let hedge = policy(maxHedges: 3, budget: budget)
        let calls = Counter()
        let task = Task {
            try await hedge.run { attempt in
                calls.increment()
                return try await answer(attempt, after: [.seconds(9), .seconds(9)])
            }
        }
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(50))
        await clock.waitForSleepers(3)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(calls.value == 2)
        #expect(clock.sleeperCount == 0)
    }

    @Test("when the caller is cancelled, one value at most is returned and all others are disposed of")
    func cancelledWithValues() async throws {
        let hedge = policy(maxHedges: 2)
        let disposed = EventRecorder<Int>()
        let task = Task {
            try await hedge.run { attempt in
                try? await clock.sleep(for: .seconds(60))
                return attempt
            } disposing: { late in
                #expect(!Task.isCancelled)
                disposed.record(late)
            }
        }
        for sleepers in [2, 3] {
            await clock.waitForSleepers(sleepers)
            clock.advance(by: .milliseconds(50))
        }
        await clock.waitForSleepers(3)
        task.cancel()
        let value = try await task.value
        #expect((disposed.events + [value]).sorted() == [1, 2, 3])
    }

    @Test("INV-5: calls that are cancelled leave the budget and the measured latency as they were")
    func cancellationIsNoEvidence() async {
        let budget = RetryBudget(.window(ratio: 1, perSecond: 0), clock: clock)
        let hedge = HedgePolicy(
            HedgeConfiguration(after: .quantile(0.5, initial: .seconds(100), minimumCalls: 1)),
            budget: budget,
            clock: clock
        )
        for _ in 0..<50 {
            let task = Task { try await hedge.run { try await answer($0, after: [.seconds(5)]) } }
            await clock.waitForSleepers(2)
            task.cancel()
            _ = await task.result
        }
        #expect(hedge.delay == .seconds(100))
        #expect(budget.available == 0)
    }

    @Test("INV-26: with nothing left in the budget there is no hedge, and what is under way goes on")
    func exhaustedBudget() async throws {
        let hedge = policy(maxHedges: 2, budget: RetryBudget(.window(ratio: 0, perSecond: 0), clock: clock))
        let task = Task { try await hedge.run { try await answer($0, after: [.seconds(1)]) } }
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(50))
        #expect(names(await events.wait(for: 1)) == ["no budget for 2"])
        await clock.waitForSleepers(1)
        clock.advance(by: .milliseconds(950))
        #expect(try await task.value == 1)
    }

    @Test("INV-26: with nothing left in the budget a failure is thrown at once, as it is")
    func exhaustedBudgetAndFailure() async {
        let hedge = policy(maxHedges: 2, budget: RetryBudget(.window(ratio: 0, perSecond: 0), clock: clock))
        await #expect(throws: Broken(attempt: 1)) {
            try await hedge.run { attempt -> Int in throw Broken(attempt: attempt) }
        }
        #expect(clock.sleeperCount == 0)
    }

    @Test("INV-24: a thousand calls at once that all fail have no more hedges than the budget")
    func sharedBudget() async {
        let budget = RetryBudget(.tokens(capacity: 140))
        let hedge = policy(budget: budget)
        let attempts = Counter()
        await withTaskGroup { group in
            for _ in 0..<1000 {
                group.addTask {
                    _ = try? await hedge.run { attempt -> Int in
                        attempts.increment()
                        throw Broken()
                    }
                }
            }
        }
        #expect(attempts.value == 1010)
        #expect(budget.available == 0)
    }

    @Test("no hedge begins that the deadline comes before", arguments: [49, 50])
    func deadline(milliseconds: Int) async throws {
        let timeSource = TimeSource(clock)
        let deadline = Deadline(instant: timeSource.instant(after: .milliseconds(milliseconds)), timeSource: timeSource)
        let hedge = policy()
        let task = Task {
            try await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
                try await hedge.run { try await answer($0, after: [.seconds(1), .zero]) }
            }
        }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(1))
        #expect(try await task.value == 1)
        #expect(events.events.isEmpty)
    }

    @Test("once the deadline has passed, a failure starts no other attempt")
    func expired() async {
        let timeSource = TimeSource(clock)
        let deadline = Deadline(instant: timeSource.now, timeSource: timeSource)
        await #expect(throws: Broken(attempt: 1)) {
            try await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
                try await policy(maxHedges: 3).run { attempt -> Int in throw Broken(attempt: attempt) }
            }
        }
    }

    @Test("hedges are extra attempts: inside one there are no other hedges")
    func nested() async {
        let outer = policy(maxHedges: 2)
        let inner = policy(maxHedges: 3)
        let calls = Counter()
        _ = try? await outer.run { _ in
            try await inner.run { _ -> Int in
                calls.increment()
                throw Broken()
            }
        }
        #expect(calls.value == 3 + 4 - 1)
    }

    @Test("INV-29: the delay follows the first attempts, and what a hedge cut short counts as long as it ran")
    func quantile() async throws {
        let hedge = HedgePolicy(
            HedgeConfiguration(after: .quantile(0.5, initial: .milliseconds(50), minimumCalls: 4)),
            clock: clock
        )
        for _ in 0..<4 {
            #expect(hedge.delay == .milliseconds(50))
            let task = Task { try await hedge.run { try await answer($0, after: [.seconds(9), .milliseconds(10)]) } }
            await clock.waitForSleepers(2)
            clock.advance(by: .milliseconds(50))
            await clock.waitForSleepers(2)
            clock.advance(by: .milliseconds(10))
            #expect(try await task.value == 2)
        }
        // 60 ms and not 10: the hedges' own latency is not measured.
        #expect(hedge.delay >= .milliseconds(60) && hedge.delay <= .milliseconds(68))
        for _ in 0..<20 { _ = try? await hedge.run { _ -> Int in throw Refusal(isRejection: true) } }
        #expect(hedge.delay >= .milliseconds(60))
        clock.advance(by: .seconds(60))
        #expect(hedge.delay == .milliseconds(50))
    }

    @Test("INV-39: what a retry gave up inside a hedged call, a retry around it does not repeat")
    func givenUpInside() async {
        let hedge = policy()
        let calls = Counter()
        let task = Task {
            try await RetryPolicy(.idempotent, maxAttempts: 5, backoff: .none).run {
                try await hedge.run { attempt -> Int in
                    try await RetryPolicy(.idempotent, maxAttempts: 2, backoff: .none).run {
                        if calls.increment() > 3 { throw Broken() }
                        try await clock.sleep(for: .milliseconds(70))
                        throw Broken(attempt: attempt)
                    }
                }
            }
        }
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(50))
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(20))
        // The first attempt is tried again, and the hedge, an extra attempt itself, is not.
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(50))
        await clock.waitForSleepers(1)
        clock.advance(by: .milliseconds(20))
        let error = await #expect(throws: HedgeError.self) { try await task.value }
        #expect(error?.decisiveError is RetryError)
        #expect(calls.value == 3)
    }

    @Test("a call's record has its hedge and the end of every attempt")
    func trace() async throws {
        let trace = CallTrace(timeSource: TimeSource(clock))
        let hedge = policy()
        let task = Task {
            try await CallTrace.$current.withValue(trace) {
                try await hedge.run { try await answer($0, after: [.seconds(10), .zero]) }
            }
        }
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(50))
        #expect(try await task.value == 2)
        let steps = trace.record(name: "test", outcome: .success, error: nil).entries.map(\.step).map { step in
            switch step {
            case .hedged(let number, let after): "hedged \(number) after \(after)"
            case .attempt(let number, let took, let error): "attempt \(number) \(took) \(error == nil)"
            default: "other"
            }
        }
        #expect(
            steps == ["hedged 2 after 0.05 seconds", "attempt 2 0.0 seconds true", "attempt 1 0.05 seconds false"]
        )
    }

    @Test("of a thousand calls with attempts that come, fail and ignore cancellation, every value ends in one place")
    func conservation() async {
        let hedge = policy(maxHedges: 2)
        let made = Counter()
        let returned = Counter()
        let disposed = Counter()
        let failed = Counter()
        await withTaskGroup { group in
            for call in 0..<1000 {
                group.addTask {
                    let result = try? await hedge.run { attempt in
                        var generator = SeededGenerator(seed: UInt64(call * 3 + attempt))
                        switch Int.random(in: 0..<4, using: &generator) {
                        case 0: throw Broken()
                        case 1: try await clock.sleep(for: .milliseconds(Int.random(in: 1...200, using: &generator)))
                        case 2: try? await clock.sleep(for: .milliseconds(Int.random(in: 1...200, using: &generator)))
                        default: await Task.yield()
                        }
                        made.increment()
                        return attempt
                    } disposing: { _ in
                        disposed.increment()
                    }
                    (result == nil ? failed : returned).increment()
                }
            }
            // The clock goes on as long as there is a call.
            let driver = Task { while !Task.isCancelled { await clock.advanceToNextSleeper() } }
            await group.waitForAll()
            driver.cancel()
            await driver.value
        }
        #expect(made.value == returned.value + disposed.value)
        #expect(returned.value + failed.value == 1000)
        #expect(disposed.value > 0 && failed.value > 0)
        #expect(clock.sleeperCount == 0)
    }

    @Test("bad numbers are refused at construction")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) { _ = HedgeDelay.fixed(.zero) }
        await #expect(processExitsWith: .failure) { _ = HedgeDelay.quantile(.nan, initial: .seconds(1)) }
        await #expect(processExitsWith: .failure) { _ = HedgeDelay.quantile(1, initial: .seconds(1)) }
        await #expect(processExitsWith: .failure) { _ = HedgeConfiguration(after: .fixed(.seconds(1)), maxHedges: 0) }
    }
}
