import ReliabilityCore
import ReliabilityTesting
import Retry
import TestSupport
import Testing

@Suite("RetryPolicy")
struct RetryPolicyTests {
    let clock = ManualClock()

    func policy(
        _ maxAttempts: Int,
        backoff: Backoff = .none,
        maxRetryAfter: Duration = .seconds(60),
        observer: (@Sendable (RetryEvent) -> Void)? = nil
    ) -> RetryPolicy {
        RetryPolicy(
            RetryPolicy.Configuration(
                .idempotent,
                maxAttempts: maxAttempts,
                backoff: backoff,
                maxRetryAfter: maxRetryAfter
            ),
            clock: clock,
            randomness: SeededGenerator(seed: 1),
            observer: observer
        )
    }

    @Test("a call that succeeds runs once")
    func succeedsAtOnce() async throws {
        var runs = 0
        let value = try await policy(3).run {
            runs += 1
            return "done"
        }
        #expect(value == "done")
        #expect(runs == 1)
    }

    @Test("a call is retried until it succeeds", arguments: 1...4)
    func succeedsAtLast(failures: Int) async throws {
        var runs = 0
        let value = try await policy(5).run {
            runs += 1
            if runs <= failures { throw TestError() }
            return runs
        }
        #expect(value == failures + 1)
    }

    @Test("the error of an exhausted call has the number of attempts and the last error", arguments: 2...4)
    func exhausts(attempts: Int) async {
        var runs = 0
        let error = await #expect(throws: RetryError.self) {
            try await policy(attempts).run {
                runs += 1
                throw TestError(runs)
            }
        }
        #expect(runs == attempts)
        #expect(error?.reason == .attemptsExhausted)
        #expect(error?.attemptCount == attempts)
        #expect(error?.lastError as? TestError == TestError(attempts))
    }

    @Test("a permanent error is thrown unchanged after one attempt")
    func stops() async {
        var runs = 0
        let error = await #expect(throws: TestReliabilityError.self) {
            try await policy(5).run {
                runs += 1
                throw TestReliabilityError(.invalid)
            }
        }
        #expect(runs == 1)
        #expect(error?.category == .invalid)
    }

    @Test("the waits double up to the cap")
    func waitsDouble() async throws {
        let retry = policy(6, backoff: .exponential(initial: .seconds(1), max: .seconds(5), jitter: .none))
        let outcome = Task { try await retry.run { throw TestError() } }
        var waits: [Duration] = []
        for _ in 1...5 {
            await clock.waitForSleepers(1)
            waits.append(try #require(clock.timeToNextSleeper))
            await clock.advanceToNextSleeper()
        }
        await #expect(throws: RetryError.self) { try await outcome.value }
        #expect(waits == [.seconds(1), .seconds(2), .seconds(4), .seconds(5), .seconds(5)])
    }

    @Test("no attempt starts before the dependency's retry-after has elapsed")
    func respectsRetryAfter() async throws {
        let retry = policy(2, backoff: .constant(.seconds(1), jitter: .none))
        let outcome = Task { try await retry.run { throw TestReliabilityError(retryAfter: .seconds(7)) } }
        await clock.waitForSleepers(1)
        #expect(clock.timeToNextSleeper == .seconds(7))
        clock.advance(by: .seconds(7))
        await #expect(throws: RetryError.self) { try await outcome.value }
    }

    @Test("a retry-after above the maximum ends the call")
    func rejectsLongRetryAfter() async {
        var runs = 0
        let error = await #expect(throws: RetryError.self) {
            try await policy(5, maxRetryAfter: .seconds(10)).run {
                runs += 1
                throw TestReliabilityError(retryAfter: .seconds(runs == 1 ? 0 : 11))
            }
        }
        #expect(error?.reason == .retryAfterTooLong)
        #expect(error?.attemptCount == 2)
    }

    @Test("callers with the same retry-after retry at different times and never too early", arguments: 0..<20)
    func spreadsRetryAfter(seed: UInt64) async {
        let retry = RetryPolicy(
            RetryPolicy.Configuration(.idempotent, maxAttempts: 2),
            clock: clock,
            randomness: SeededGenerator(seed: seed)
        )
        let task = Task { try await retry.run { throw TestReliabilityError(retryAfter: .seconds(50)) } }
        await clock.waitForSleepers(1)
        let wait = clock.timeToNextSleeper ?? .zero
        #expect(wait > .seconds(50) && wait <= .seconds(55), "seed \(seed)")
        task.cancel()
        _ = await task.result
    }

    @Test("a throttled call waits for the throttled backoff")
    func throttled() async {
        let retry = RetryPolicy(
            RetryPolicy.Configuration(
                .idempotent,
                maxAttempts: 3,
                backoff: .constant(.seconds(1), jitter: .none),
                throttledBackoff: .constant(.seconds(5), jitter: .none)
            ),
            clock: clock
        )
        let runs = ConcurrencyCounter()
        let task = Task {
            try await retry.run {
                throw TestReliabilityError(runs.increment() == 1 ? .rateLimited : .timeout)
            }
        }
        await clock.waitForSleepers(1)
        #expect(clock.timeToNextSleeper == .seconds(5))
        await clock.advanceToNextSleeper()
        await clock.waitForSleepers(1)
        #expect(clock.timeToNextSleeper == .seconds(1))
        await clock.advanceToNextSleeper()
        await #expect(throws: RetryError.self) { try await task.value }
    }

    @Test(
        "a rejection with a retry-after is retried within the maximum rejection wait and the deadline",
        arguments: 3...7
    )
    func rejectionWait(seconds: Int) async {
        let timeSource = TimeSource(clock)
        let deadline = Deadline(instant: timeSource.instant(after: .seconds(5)), timeSource: timeSource)
        let retry = RetryPolicy(
            RetryPolicy.Configuration(.idempotent, maxAttempts: 2, backoff: .none, maxRejectionWait: .seconds(6)),
            clock: clock
        )
        let runs = ConcurrencyCounter()
        let task = Task {
            try await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
                try await retry.run {
                    runs.increment()
                    throw TestRejection(retryAfter: .seconds(seconds))
                }
            }
        }
        // A wait of 5 or 6 seconds does not fit before the deadline. A wait of 7 seconds is above the maximum.
        if seconds < 5 { await clock.advanceToNextSleeper() }
        let error = await #expect(throws: (any Error).self) { try await task.value }
        #expect(seconds < 5 ? (error as? RetryError)?.isRejection == true : error is TestRejection)
        #expect(runs.value == (seconds < 5 ? 2 : 1))
        #expect(clock.sleeperCount == 0)
    }

    @Test("by default no rejection is retried, regardless of the classification")
    func failsFast() async {
        let decisions: [RetryDecision?] = [nil, .retry, .retryAfter(.zero)]
        for decision in decisions {
            var runs = 0
            let retry = RetryPolicy(
                .idempotent(maxAttempts: 5, backoff: .none),
                classify: { decision ?? .standard(for: $0) },
                clock: clock
            )
            await #expect(throws: TestRejection.self) {
                try await retry.run {
                    runs += 1
                    throw TestRejection(retryAfter: .zero)
                }
            }
            #expect(runs == 1)
        }
    }

    @Test("a rejection without a retry-after is not retried")
    func rejectionsAreFinal() async {
        var runs = 0
        await #expect(throws: TestRejection.self) {
            try await policy(5).run {
                runs += 1
                throw TestRejection()
            }
        }
        #expect(runs == 1)
    }

    @Test("no wait starts that cannot end before the deadline")
    func deadlineTooClose() async {
        let timeSource = TimeSource(clock)
        let retry = policy(5, backoff: .constant(.seconds(10), jitter: .none))
        let deadline = Deadline(instant: timeSource.instant(after: .seconds(10)), timeSource: timeSource)
        await #expect(throws: TestError(7)) {
            try await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
                try await retry.run { throw TestError(7) }
            }
        }
        #expect(clock.sleeperCount == 0)
    }

    @Test("no wait starts that leaves less than the minimum attempt duration", arguments: [3, 4])
    func minAttemptDuration(seconds: Int) async {
        let timeSource = TimeSource(clock)
        let deadline = Deadline(instant: timeSource.instant(after: .seconds(10)), timeSource: timeSource)
        let retry = RetryPolicy(
            RetryPolicy.Configuration(
                .idempotent,
                maxAttempts: 2,
                backoff: .constant(.seconds(6), jitter: .none),
                minAttemptDuration: .seconds(seconds)
            ),
            clock: clock
        )
        let runs = ConcurrencyCounter()
        let task = Task {
            try await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
                try await retry.run {
                    runs.increment()
                    throw TestError()
                }
            }
        }
        if seconds == 3 { await clock.advanceToNextSleeper() }
        let error = await task.result
        #expect(throws: (any Error).self) { try error.get() }
        #expect(runs.value == (seconds == 3 ? 2 : 1))
    }

    @Test("an attempt that the deadline ends does not hide the errors of earlier attempts")
    func deadlineDuringLaterAttempt() async {
        let timeSource = TimeSource(clock)
        let deadline = Deadline(instant: timeSource.instant(after: .seconds(10)), timeSource: timeSource)
        let retry = policy(5)
        let task = Task { [clock] in
            var runs = 0
            try await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
                try await retry.run {
                    runs += 1
                    if runs == 1 { throw TestError(1) }
                    clock.advance(by: .seconds(10))
                    unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                    throw CancellationError()
                }
            }
        }
        let error = await #expect(throws: RetryError.self) { try await task.value }
        #expect(error?.reason == .deadlineTooClose)
        #expect(error?.attempts.first?.error as? TestError == TestError(1))
        #expect(error?.lastError is CancellationError)
    }

    @Test("a cancellation during a wait returns immediately and makes no further attempt")
    func cancelledDuringWait() async {
        let retry = policy(5, backoff: .constant(.seconds(10)))
        let runs = ConcurrencyCounter()
        let task = Task {
            try await retry.run {
                runs.increment()
                throw TestError()
            }
        }
        await clock.waitForSleepers(1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(runs.value == 1)
        #expect(clock.sleeperCount == 0)
    }

    @Test("an error after the caller's cancellation is thrown unchanged and not retried")
    func cancelledDuringAttempt() async {
        let retry = policy(5)
        let runs = ConcurrencyCounter()
        let task = Task {
            try await retry.run {
                runs.increment()
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                throw TestError(3)
            }
        }
        await #expect(throws: TestError(3)) { try await task.value }
        #expect(runs.value == 1)
    }

    @Test("an observer receives every retry and the final failure in order")
    func observes() async throws {
        let events = EventRecorder<RetryEvent>()
        try? await policy(3, observer: events.record).run { throw TestError() }
        let seen = await events.wait(for: 3).map { event in
            switch event {
            case .retrying(let attempt, _, _): "retrying \(attempt)"
            case .gaveUp(let error): "gave up \(error.attemptCount)"
            case .suppressed: "suppressed"
            case .missed(let count): "missed \(count)"
            }
        }
        #expect(seen == ["retrying 1", "retrying 2", "gave up 3"])
    }

    @Test("the short initializer takes a clock, a classification, a generator and an observer")
    func shortForm() async {
        let events = EventRecorder<RetryEvent>()
        let retry = RetryPolicy(
            .idempotent(maxAttempts: 2, backoff: .constant(.seconds(10))),
            classify: { $0 is TestError ? .retry : .stop },
            clock: clock,
            randomness: SeededGenerator(seed: 3),
            observer: events.record
        )
        let task = Task { try await retry.run { throw TestError() } }
        await clock.advanceToNextSleeper()
        await #expect(throws: RetryError.self) { try await task.value }
        await #expect(throws: TestReliabilityError.self) {
            try await retry.run { throw TestReliabilityError(retryAfter: .zero) }
        }
        #expect(await events.wait(for: 2).count == 2)
    }

    @Test("a hundred calls that share a policy do not share attempts")
    func concurrentCalls() async {
        let retry = policy(3)
        let runs = ConcurrencyCounter()
        await withTaskGroup { group in
            for _ in 0..<100 {
                group.addTask {
                    try? await retry.run {
                        runs.increment()
                        throw TestError()
                    }
                }
            }
        }
        #expect(runs.value == 300)
    }

    @Test("any number of attempts is allowed")
    func unlimited() async throws {
        var runs = 0
        let value = try await policy(.max).run {
            runs += 1
            if runs < 10_000 { throw TestError() }
            return runs
        }
        #expect(value == 10_000)
    }

    @Test("a classification may use a policy")
    func classifyReenters() async {
        let inner = policy(2)
        let retry = RetryPolicy(
            RetryPolicy.Configuration(.idempotent, maxAttempts: 2, backoff: .none),
            classify: { inner.configuration.maxAttempts == 2 ? RetryDecision.standard(for: $0) : .stop },
            clock: clock
        )
        let error = await #expect(throws: RetryError.self) { try await retry.run { throw TestError() } }
        #expect(error?.attemptCount == 2)
    }

    @Test("the trace of a call records its attempts, its waits and its final code")
    func trace() async {
        let trace = CallTrace(timeSource: TimeSource(clock))
        _ = try? await CallTrace.$current.withValue(trace) {
            try await policy(2).run { throw TestError() }
        }
        let runs = ConcurrencyCounter()
        _ = try? await CallTrace.$current.withValue(trace) {
            try await policy(2).run { if runs.increment() == 1 { throw TestError() } }
        }
        let steps = trace.report(name: "call", outcome: .failure, error: nil).entries.map { entry in
            switch entry.step {
            case .attempt(let number, _, let error): "attempt \(number) \(error == nil ? "succeeded" : "failed")"
            case .waiting: "waiting"
            case .gaveUp(let code): "\(code)"
            case .hedged, .queued, .rejected, .timedOut, .fellBack, .suppressed: "?"
            }
        }
        #expect(
            steps == [
                "attempt 1 failed", "waiting", "attempt 2 failed", "retry.exhausted",
                "attempt 1 failed", "waiting", "attempt 2 succeeded",
            ]
        )
    }

    @Test("a policy has one layer with its attempts and its longest waits")
    func layers() throws {
        let configuration = RetryPolicy.Configuration(
            .notIdempotent,
            maxAttempts: 4,
            backoff: .exponential(initial: .seconds(1), max: .seconds(3)),
            throttledBackoff: .constant(.seconds(2)),
            maxRetryAfter: .zero
        )
        let layer = try #require(RetryPolicy(configuration).layers.first)
        #expect(layer.kind == .retry)
        #expect(layer.attempts == 4)
        #expect(layer.waits == .seconds(7))
        #expect(
            layer.summary == """
                up to 4 attempts, waits of 1 s, doubling up to 3 s, full jitter, only if nothing was sent
                """
        )
        let patient = RetryPolicy(RetryPolicy.Configuration(.idempotent, maxAttempts: .max))
        #expect(patient.layers.first?.waits == .nanoseconds(Int64.max))
        #expect(RetryPolicy(.idempotent(maxAttempts: 3)).layers.first?.waits == .seconds(132))
        #expect(RetryPolicy(.idempotent(maxAttempts: 1)).layers.first?.waits == .zero)
        let waiting = RetryPolicy.Configuration(
            .idempotent,
            maxAttempts: 2,
            backoff: .none,
            throttledBackoff: .none,
            maxRetryAfter: .zero,
            maxRejectionWait: .seconds(10)
        )
        #expect(RetryPolicy(waiting).layers.first?.waits == .seconds(11))
    }

    @Test("invalid numbers are rejected at construction")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) { _ = RetryPolicy(.idempotent(maxAttempts: 0)) }
        await #expect(processExitsWith: .failure) {
            _ = RetryPolicy(.init(.idempotent, minAttemptDuration: .seconds(-1)))
        }
        await #expect(processExitsWith: .failure) {
            _ = RetryPolicy(.init(.idempotent, maxRejectionWait: .seconds(-1)))
        }
    }
}

@Suite("RetryPolicy: isolation")
struct RetryPolicyIsolationTests {
    actor Account {
        var balance = 0
        func deposit(_ retry: RetryPolicy) async throws -> Int {
            try await retry.run {
                self.preconditionIsolated()
                balance += 1
                if balance < 3 { throw TestError() }
                return balance
            }
        }
    }

    @Test("an operation on an actor changes the actor's state in place")
    func actorIsolated() async throws {
        let balance = try await Account().deposit(RetryPolicy(.idempotent(maxAttempts: 5, backoff: .none)))
        #expect(balance == 3)
    }

    @Test("an operation on the main actor stays there")
    @MainActor
    func mainActor() async throws {
        let box = NonSendableCounter()
        let result = try await RetryPolicy(.idempotent(maxAttempts: 2, backoff: .none)).run {
            MainActor.preconditionIsolated()
            box.count += 1
            if box.count < 2 { throw TestError() }
            return box
        }
        #expect(result === box)
        #expect(box.count == 2)
    }

    @Test("a value that is not Sendable can be used and returned")
    func nonisolated() async throws {
        let box = NonSendableCounter()
        let result = try await RetryPolicy(.idempotent(maxAttempts: 2, backoff: .none)).run { box }
        #expect(result === box)
    }
}
