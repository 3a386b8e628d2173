import ReliabilityCore
import ReliabilityTesting
import Retry
import TestSupport
import Testing

@Suite("RetryPolicy: results")
struct RetryPolicyResultTests {
    private let clock = ManualClock()

    private func policy(
        _ maxAttempts: Int = 3,
        _ idempotency: Idempotency = .idempotent,
        observer: (@Sendable (RetryEvent) -> Void)? = nil
    ) -> RetryPolicy {
        RetryPolicy(
            RetryPolicy.Configuration(idempotency, maxAttempts: maxAttempts, backoff: .none, throttledBackoff: .none),
            clock: clock,
            observer: observer
        )
    }

    @Test("a call is retried until its result is accepted")
    func untilAccepted() async throws {
        var runs = 0
        let result = try await policy(5).run(classifyResult: { $0 < 3 ? .retry : .stop }) {
            runs += 1
            return runs
        }
        #expect(result == 3)
    }

    @Test("after the last attempt the last result is returned and the failure is reported")
    func lastResult() async throws {
        let events = EventRecorder<RetryEvent>()
        var runs = 0
        let result = try await policy(3, observer: events.record).run(classifyResult: { _ in .retry }) {
            runs += 1
            return runs
        }
        #expect(result == 3)
        let last = await events.wait(for: 3).last
        guard case .gaveUp(let error)? = last else {
            Issue.record("\(String(describing: last))")
            return
        }
        #expect(error.reason == .attemptsExhausted)
        #expect(error.lastError is UnwantedResultError)
        #expect(error.mayHaveBeenSent)
    }

    @Test("errors and unwanted results are retried alike, and a final error is thrown")
    func mixed() async {
        var runs = 0
        let error = await #expect(throws: RetryError.self) {
            try await policy(3).run(classifyResult: { _ in .retry }) {
                runs += 1
                if runs != 2 { throw TestError() }
                return runs
            }
        }
        #expect(error?.attempts.map { $0.error is UnwantedResultError } == [false, true, false])
    }

    @Test("an unwanted result of a call that is not idempotent is returned without a retry")
    func notIdempotent() async throws {
        var runs = 0
        let result = try await policy(3, .notIdempotent).run(classifyResult: { _ in .retry }) {
            runs += 1
            return runs
        }
        #expect(result == 1)
    }

    @Test("a call is not retried before the retry-after of its result")
    func retryAfter() async throws {
        let runs = ConcurrencyCounter()
        let task = Task {
            try await policy().run(classifyResult: { $0 == 1 ? .retryAfter(.seconds(7)) : .stop }) {
                let run = runs.increment()
                return run
            }
        }
        await clock.waitForSleepers(1)
        #expect(clock.timeToNextSleeper == .seconds(7))
        clock.advance(by: .seconds(7))
        #expect(try await task.value == 2)
    }

    @Test("a result is returned if no wait fits before the deadline")
    func deadline() async throws {
        let timeSource = TimeSource(clock)
        let deadline = Deadline(instant: timeSource.instant(after: .seconds(5)), timeSource: timeSource)
        let result = try await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
            try await policy().run(classifyResult: { _ in .retryAfter(.seconds(6)) }) { "unwanted" }
        }
        #expect(result == "unwanted")
        #expect(clock.sleeperCount == 0)
    }

    @Test("an inner policy does not retry results during an outer retry")
    func nested() async throws {
        var runs = 0
        let result = try await policy(3).run(classifyResult: { _ in .retry }) {
            try await policy(4).run(classifyResult: { _ in .retry }) {
                runs += 1
                return runs
            }
        }
        #expect(result == 6)
    }

    @Test("the result of a cancelled task is returned unchanged")
    func cancelled() async throws {
        let runs = ConcurrencyCounter()
        let task = Task {
            try await policy().run(classifyResult: { _ in .retry }) {
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                return runs.increment()
            }
        }
        #expect(try await task.value == 1)
    }

    @Test("a result on the main actor need not be Sendable")
    @MainActor
    func isolation() async throws {
        let box = NonSendableCounter()
        let result = try await policy().run(classifyResult: { $0.count < 2 ? .retry : .stop }) {
            MainActor.preconditionIsolated()
            box.count += 1
            return box
        }
        #expect(result === box && box.count == 2)
    }
}
