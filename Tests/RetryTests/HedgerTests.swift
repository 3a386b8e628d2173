import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import Retry

@Suite("Hedger")
struct HedgerTests {
    let clock = ManualClock()
    let events = EventRecorder<HedgeEvent>()

    func policy(maxHedges: Int = 1, budget: RetryBudget? = nil) -> Hedger {
        Hedger(
            Hedger.Configuration(.fixed(.milliseconds(50)), maxHedges: maxHedges),
            budget: budget,
            clock: clock,
            observer: events.record
        )
    }

    /// Returns the number of the attempt after the duration of the attempt.
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

    @Test("a call that returns in time is not hedged and leaves no timer")
    func inTime() async throws {
        let calls = ConcurrencyCounter()
        let value = try await policy().run { attempt in
            calls.increment()
            return attempt
        }
        #expect(value == 1)
        #expect(calls.value == 1)
        #expect(clock.sleeperCount == 0)
    }

    @Test("a late call starts a hedge, and the first value is returned")
    func late() async throws {
        let hedge = policy()
        let task = Task { try await hedge.run { try await answer($0, after: [.seconds(10), .milliseconds(5)]) } }
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(50))
        // The hedge and the first attempt. There is no delay before a third attempt.
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(5))
        #expect(try await task.value == 2)
        #expect(clock.sleeperCount == 0)
        #expect(names(await events.wait(for: 2)) == ["hedged 2 after 0.05 seconds", "won 2"])
    }

    @Test("each further hedge starts after another delay")
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

    @Test("a success wins over earlier failures", arguments: 1...3)
    func successAfterFailures(good: Int) async throws {
        let value = try await policy(maxHedges: 2).run { attempt in
            if attempt < good { throw TestError(attempt) }
            return attempt
        }
        #expect(value == good)
        #expect(clock.sleeperCount == 0)
    }

    @Test("a hedge that fails fast does not end a slow first attempt", arguments: [true, false])
    func fastFailure(isRetryable: Bool) async throws {
        let hedge = policy()
        let task = Task {
            try await hedge.run { attempt in
                if attempt == 2 { throw isRetryable ? TestError() : TestReliabilityError(.invalid) }
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

    @Test("when all attempts fail, the error lists every attempt with its times and its error")
    func allFail() async throws {
        let hedge = policy(maxHedges: 2)
        let task = Task {
            try await hedge.run { attempt -> Int in
                if attempt == 1 { try await clock.sleep(for: .milliseconds(70)) }
                throw TestError(attempt)
            }
        }
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(50))
        // The second attempt has failed. The first attempt and the delay of the third attempt are left.
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(20))
        let error = await #expect(throws: HedgeError.self) { try await task.value }
        let attempts = try #require(error?.attempts)
        #expect(attempts.map(\.number) == [2, 1, 3])
        #expect(attempts.map { $0.error as? TestError } == [2, 1, 3].map { TestError($0) })
        #expect(attempts.map(\.startedAfter) == [.milliseconds(50), .zero, .milliseconds(70)])
        #expect(attempts.map(\.took) == [.zero, .milliseconds(70), .zero])
        #expect(error?.decisiveError as? TestError == TestError(3))
        #expect(error?.category == .internal)
        #expect(error?.mayHaveBeenSent == true)
        #expect(clock.sleeperCount == 0)
    }

    @Test("a permanent error starts no hedge and is thrown unchanged")
    func permanent() async {
        let calls = ConcurrencyCounter()
        await #expect(throws: TestReliabilityError.self) {
            try await policy(maxHedges: 5).run { _ -> Int in
                calls.increment()
                throw TestReliabilityError(.invalid)
            }
        }
        #expect(calls.value == 1)
    }

    @Test("a permanent error among several errors decides the category of the call's error")
    func decisive() async {
        let error = await #expect(throws: HedgeError.self) {
            try await policy(maxHedges: 3).run { attempt -> Int in
                if attempt == 2 { throw TestReliabilityError(.invalid, retryAfter: .seconds(3)) }
                throw TestError()
            }
        }
        #expect(error?.attempts.count == 2)
        // The client of this service is not at fault.
        #expect(error?.category == .unavailable)
        #expect(error?.decisiveError is TestReliabilityError)
        #expect(error?.retryAfter == .seconds(3))
        #expect(error?.isRejection == false)
    }

    @Test("losing attempts are cancelled and awaited, and a late value is disposed of once in a live task")
    func disposal() async throws {
        let hedge = policy(maxHedges: 2)
        let disposed = EventRecorder<String>()
        let ended = ConcurrencyCounter()
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

    @Test("a cancelled caller cancels every attempt, starts no hedge and gets the attempt's own error")
    func callerCancelled() async {
        let budget = RetryBudget()
        let hedge = policy(maxHedges: 3, budget: budget)
        let calls = ConcurrencyCounter()
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

    @Test("after a cancellation one value at most is returned, and all other values are disposed of")
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

    @Test("cancelled calls change neither the budget nor the measured latency")
    func cancellationsDoNotCount() async {
        let budget = RetryBudget(.window(ratio: 1, perSecond: 0), clock: clock)
        let hedge = Hedger(
            Hedger.Configuration(.quantile(0.5, initial: .seconds(100), minCalls: 1)),
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

    @Test("an exhausted budget starts no hedge, and the running attempt continues")
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

    @Test("with an exhausted budget a failure is thrown immediately and unchanged")
    func exhaustedBudgetAndFailure() async {
        let hedge = policy(maxHedges: 2, budget: RetryBudget(.window(ratio: 0, perSecond: 0), clock: clock))
        await #expect(throws: TestError(1)) {
            try await hedge.run { attempt -> Int in throw TestError(attempt) }
        }
        #expect(clock.sleeperCount == 0)
    }

    @Test("a thousand simultaneous calls that fail start no more hedges than their budget allows")
    func sharedBudget() async {
        let budget = RetryBudget(.tokens(capacity: 140))
        let hedge = policy(budget: budget)
        let attempts = ConcurrencyCounter()
        await withTaskGroup { group in
            for _ in 0..<1000 {
                group.addTask {
                    _ = try? await hedge.run { attempt -> Int in
                        attempts.increment()
                        throw TestError()
                    }
                }
            }
        }
        #expect(attempts.value == 1010)
        #expect(budget.available == 0)
    }

    @Test("no hedge starts at or after the deadline", arguments: [49, 50])
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

    @Test("a failure after the deadline starts no hedge")
    func expired() async {
        let timeSource = TimeSource(clock)
        let deadline = Deadline(instant: timeSource.now, timeSource: timeSource)
        await #expect(throws: TestError(1)) {
            try await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
                try await policy(maxHedges: 3).run { attempt -> Int in throw TestError(attempt) }
            }
        }
    }

    @Test("a hedger inside a hedge starts no hedges")
    func nested() async {
        let outer = policy(maxHedges: 2)
        let inner = policy(maxHedges: 3)
        let calls = ConcurrencyCounter()
        _ = try? await outer.run { _ in
            try await inner.run { _ -> Int in
                calls.increment()
                throw TestError()
            }
        }
        #expect(calls.value == 3 + 4 - 1)
    }

    @Test("the delay follows the first attempts, and a losing first attempt counts with its running time")
    func quantile() async throws {
        let hedge = Hedger(
            Hedger.Configuration(.quantile(0.5, initial: .milliseconds(50), minCalls: 4)),
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
        // 60 ms and not 10 ms: the latency of hedges is not measured.
        #expect(hedge.delay >= .milliseconds(60) && hedge.delay <= .milliseconds(68))
        for _ in 0..<20 { _ = try? await hedge.run { _ -> Int in throw TestRejection() } }
        #expect(hedge.delay >= .milliseconds(60))
        clock.advance(by: .seconds(60))
        #expect(hedge.delay == .milliseconds(50))
    }

    @Test("an outer retry does not repeat a hedged call that an inner retry gave up")
    func givenUpInside() async {
        let hedge = policy()
        let calls = ConcurrencyCounter()
        let task = Task {
            try await RetryPolicy(.idempotent(maxAttempts: 5, backoff: .none)).run {
                try await hedge.run { attempt -> Int in
                    try await RetryPolicy(.idempotent(maxAttempts: 2, backoff: .none)).run {
                        if calls.increment() > 3 { throw TestError() }
                        try await clock.sleep(for: .milliseconds(70))
                        throw TestError(attempt)
                    }
                }
            }
        }
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(50))
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(20))
        // The first attempt is retried. The hedge is an extra attempt and is not retried.
        await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(50))
        await clock.waitForSleepers(1)
        clock.advance(by: .milliseconds(20))
        let error = await #expect(throws: HedgeError.self) { try await task.value }
        #expect(error?.decisiveError is RetryError)
        #expect(calls.value == 3)
    }

    @Test("the trace of a call records its hedge and the end of every attempt")
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
        let steps = trace.report(name: "test", outcome: .success, error: nil).entries.map(\.step).map { step in
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

    @Test("every value of a thousand random calls is either returned or disposed of")
    func conservation() async {
        let hedge = policy(maxHedges: 2)
        let made = ConcurrencyCounter()
        let returned = ConcurrencyCounter()
        let disposed = ConcurrencyCounter()
        let failed = ConcurrencyCounter()
        await withTaskGroup { group in
            for call in 0..<1000 {
                group.addTask {
                    let result = try? await hedge.run { attempt in
                        var generator = SeededGenerator(seed: UInt64(call * 3 + attempt))
                        switch Int.random(in: 0..<4, using: &generator) {
                        case 0: throw TestError()
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
            // The clock advances until all calls have ended.
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

    @Test("invalid numbers are rejected at construction")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) { _ = Hedger(Hedger.Configuration(HedgeDelay.fixed(.zero))) }
        await #expect(processExitsWith: .failure) {
            _ = Hedger(Hedger.Configuration(HedgeDelay.quantile(.nan, initial: .seconds(1))))
        }
        await #expect(processExitsWith: .failure) {
            _ = Hedger(Hedger.Configuration(HedgeDelay.quantile(1, initial: .seconds(1))))
        }
        await #expect(processExitsWith: .failure) {
            _ = Hedger(Hedger.Configuration(.fixed(.seconds(1)), maxHedges: 0))
        }
    }
}
