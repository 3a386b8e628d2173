import ReliabilityCore
import ReliabilityTesting
import Retry
import Testing

@Suite("Retry on result")
struct RetryResultTests {
    private struct Failure: Error {}
    private let clock = ManualClock()

    private func policy(
        _ maxAttempts: Int = 3,
        _ idempotency: Idempotency = .idempotent,
        observer: (@Sendable (RetryEvent) -> Void)? = nil
    ) -> RetryPolicy {
        RetryPolicy(
            RetryConfiguration(idempotency, maxAttempts: maxAttempts, backoff: .none, throttledBackoff: .none),
            clock: clock,
            observer: observer
        )
    }

    @Test("a call is tried until its result is good enough")
    func untilGood() async throws {
        var runs = 0
        let result = try await policy(5).run(retryingResult: { $0 < 3 ? .retry : .stop }) {
            runs += 1
            return runs
        }
        #expect(result == 3)
    }

    @Test("when there is no attempt left, the last result is returned, and the observer is told")
    func lastResult() async throws {
        let events = EventRecorder<RetryEvent>()
        var runs = 0
        let result = try await policy(3, observer: events.record).run(retryingResult: { _ in .retry }) {
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

    @Test("errors and results are tried again alike, and an error at last is thrown")
    func mixed() async {
        var runs = 0
        let error = await #expect(throws: RetryError.self) {
            try await policy(3).run(retryingResult: { _ in .retry }) {
                runs += 1
                if runs != 2 { throw Failure() }
                return runs
            }
        }
        #expect(error?.attempts.map { $0.error is UnwantedResultError } == [false, true, false])
    }

    @Test("a result of a call that is not idempotent was sent, and is returned at once")
    func notIdempotent() async throws {
        var runs = 0
        let result = try await policy(3, .notIdempotent).run(retryingResult: { _ in .retry }) {
            runs += 1
            return runs
        }
        #expect(result == 1)
    }

    @Test("INV-23: a result that says when is not tried again before")
    func retryAfter() async throws {
        let runs = Counter()
        let task = Task {
            try await policy().run(retryingResult: { $0 == 1 ? .retryAfter(.seconds(7)) : .stop }) {
                let run = runs.increment()
                return run
            }
        }
        await clock.waitForSleepers(1)
        #expect(clock.timeToNextSleeper == .seconds(7))
        clock.advance(by: .seconds(7))
        #expect(try await task.value == 2)
    }

    @Test("INV-20: a result is returned when no wait fits before the deadline")
    func deadline() async throws {
        let timeSource = TimeSource(clock)
        let deadline = Deadline(instant: timeSource.instant(after: .seconds(5)), timeSource: timeSource)
        let result = try await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
            try await policy().run(retryingResult: { _ in .retryAfter(.seconds(6)) }) { "unwanted" }
        }
        #expect(result == "unwanted")
        #expect(clock.sleeperCount == 0)
    }

    @Test("INV-39: a result of a repeated attempt is not tried again by the policy inside")
    func nested() async throws {
        var runs = 0
        let result = try await policy(3).run(retryingResult: { _ in .retry }) {
            try await policy(4).run(retryingResult: { _ in .retry }) {
                runs += 1
                return runs
            }
        }
        #expect(result == 6)
    }

    @Test("a result of a cancelled task is returned as it is")
    func cancelled() async throws {
        let runs = Counter()
        let task = Task {
            try await policy().run(retryingResult: { _ in .retry }) {
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                return runs.increment()
            }
        }
        #expect(try await task.value == 1)
    }

    @Test("a result that is not Sendable, on the main actor, in place")
    @MainActor
    func isolation() async throws {
        final class Box { var count = 0 }
        let box = Box()
        let result = try await policy().run(retryingResult: { $0.count < 2 ? .retry : .stop }) {
            MainActor.preconditionIsolated()
            box.count += 1
            return box
        }
        #expect(result === box && box.count == 2)
    }
}
