import ReliabilityCore
import ReliabilityTesting
import Retry
import Testing

private struct Flaky: Error, Equatable {
    var number = 0
}

private struct Refusal: ReliabilityError {
    var code: ErrorCode { "test.refusal" }
    var category: ErrorCategory = .unavailable
    var message: String { "Refused." }
    var retryAfter: Duration?
    var isRejection = true
}

@Suite("RetryPolicy")
struct RetryPolicyTests {
    let clock = ManualClock()

    func policy(
        _ maxAttempts: Int,
        backoff: Backoff = .none,
        maximumRetryAfter: Duration = .seconds(60),
        observer: (@Sendable (RetryEvent) -> Void)? = nil
    ) -> RetryPolicy {
        RetryPolicy(
            RetryConfiguration(
                .idempotent,
                maxAttempts: maxAttempts,
                backoff: backoff,
                maximumRetryAfter: maximumRetryAfter
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

    @Test("a call is tried until it succeeds", arguments: 1...4)
    func succeedsAtLast(failures: Int) async throws {
        var runs = 0
        let value = try await policy(5).run {
            runs += 1
            if runs <= failures { throw Flaky() }
            return runs
        }
        #expect(value == failures + 1)
    }

    @Test("after the last attempt the error names the attempts and the last cause", arguments: 2...4)
    func exhausts(attempts: Int) async {
        var runs = 0
        let error = await #expect(throws: RetryError.self) {
            try await policy(attempts).run {
                runs += 1
                throw Flaky(number: runs)
            }
        }
        #expect(runs == attempts)
        #expect(error?.reason == .attemptsExhausted)
        #expect(error?.attemptCount == attempts)
        #expect(error?.lastError as? Flaky == Flaky(number: attempts))
    }

    @Test("an error that cannot pass is thrown as it is, after one attempt")
    func stops() async {
        var runs = 0
        let error = await #expect(throws: Refusal.self) {
            try await policy(5).run {
                runs += 1
                throw Refusal(category: .invalid, isRejection: false)
            }
        }
        #expect(runs == 1)
        #expect(error?.category == .invalid)
    }

    @Test("the waits double up to the cap")
    func waitsDouble() async throws {
        let retry = policy(6, backoff: .exponential(initial: .seconds(1), cap: .seconds(5), jitter: .none))
        let outcome = Task { try await retry.run { throw Flaky() } }
        var waits: [Duration] = []
        for _ in 1...5 {
            await clock.waitForSleepers(1)
            waits.append(try #require(clock.timeToNextSleeper))
            await clock.advanceToNextSleeper()
        }
        await #expect(throws: RetryError.self) { try await outcome.value }
        #expect(waits == [.seconds(1), .seconds(2), .seconds(4), .seconds(5), .seconds(5)])
    }

    @Test("INV-23: no attempt begins before the dependency's retry-after has passed")
    func honoursRetryAfter() async throws {
        let retry = policy(2, backoff: .constant(.seconds(1), jitter: .none))
        let outcome = Task { try await retry.run { throw Refusal(retryAfter: .seconds(7), isRejection: false) } }
        await clock.waitForSleepers(1)
        #expect(clock.timeToNextSleeper == .seconds(7))
        clock.advance(by: .seconds(7))
        await #expect(throws: RetryError.self) { try await outcome.value }
    }

    @Test("INV-23: a retry-after past the maximum ends the call instead of being shortened")
    func refusesLongRetryAfter() async {
        var runs = 0
        let error = await #expect(throws: RetryError.self) {
            try await policy(5, maximumRetryAfter: .seconds(10)).run {
                runs += 1
                throw Refusal(retryAfter: .seconds(runs == 1 ? 0 : 11), isRejection: false)
            }
        }
        #expect(error?.reason == .retryAfterTooLong)
        #expect(error?.attemptCount == 2)
    }

    @Test("INV-23: those who were told the same come back at different times, and none too early", arguments: 0..<20)
    func spreadsRetryAfter(seed: UInt64) async {
        let retry = RetryPolicy(
            RetryConfiguration(.idempotent, maxAttempts: 2),
            clock: clock,
            randomness: SeededGenerator(seed: seed)
        )
        let task = Task { try await retry.run { throw Refusal(retryAfter: .seconds(50), isRejection: false) } }
        await clock.waitForSleepers(1)
        let wait = clock.timeToNextSleeper ?? .zero
        #expect(wait > .seconds(50) && wait <= .seconds(55), "seed \(seed)")
        task.cancel()
        _ = await task.result
    }

    @Test("a dependency that is asked too often is given more time than one that fails")
    func throttled() async {
        let retry = RetryPolicy(
            RetryConfiguration(
                .idempotent,
                maxAttempts: 3,
                backoff: .constant(.seconds(1), jitter: .none),
                throttledBackoff: .constant(.seconds(5), jitter: .none)
            ),
            clock: clock
        )
        let runs = Counter()
        let task = Task {
            try await retry.run {
                throw Refusal(category: runs.increment() == 1 ? .rateLimited : .timeout, isRejection: false)
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

    @Test("INV-38: a rejection that says when ends the call, unless the policy may wait for so long", arguments: 3...7)
    func rejectionWait(seconds: Int) async {
        let timeSource = TimeSource(clock)
        let deadline = Deadline(instant: timeSource.instant(after: .seconds(5)), timeSource: timeSource)
        let retry = RetryPolicy(
            RetryConfiguration(.idempotent, maxAttempts: 2, backoff: .none, maximumRejectionWait: .seconds(6)),
            clock: clock
        )
        let runs = Counter()
        let task = Task {
            try await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
                try await retry.run {
                    runs.increment()
                    throw Refusal(retryAfter: .seconds(seconds))
                }
            }
        }
        // At 5 and 6 it does not fit before the deadline, and at 7 the policy does not wait for it.
        if seconds < 5 { await clock.advanceToNextSleeper() }
        let error = await #expect(throws: (any Error).self) { try await task.value }
        #expect(seconds < 5 ? (error as? RetryError)?.isRejection == true : error is Refusal)
        #expect(runs.value == (seconds < 5 ? 2 : 1))
        #expect(clock.sleeperCount == 0)
    }

    @Test("INV-38: by default no rejection is waited for, whatever the classification says")
    func failsFast() async {
        let decisions: [RetryDecision?] = [nil, .retry, .retryAfter(.zero)]
        for decision in decisions {
            var runs = 0
            let retry = RetryPolicy(
                .idempotent,
                maxAttempts: 5,
                backoff: .none,
                classify: { decision ?? .standard(for: $0) },
                clock: clock
            )
            await #expect(throws: Refusal.self) {
                try await retry.run {
                    runs += 1
                    throw Refusal(retryAfter: .zero)
                }
            }
            #expect(runs == 1)
        }
    }

    @Test("INV-38: a refusal by a policy is not tried again unless it says when")
    func rejectionsAreFinal() async {
        var runs = 0
        await #expect(throws: Refusal.self) {
            try await policy(5).run {
                runs += 1
                throw Refusal()
            }
        }
        #expect(runs == 1)
    }

    @Test("INV-20: no wait begins that cannot end before the deadline")
    func deadlineTooClose() async {
        let timeSource = TimeSource(clock)
        let retry = policy(5, backoff: .constant(.seconds(10), jitter: .none))
        let deadline = Deadline(instant: timeSource.instant(after: .seconds(10)), timeSource: timeSource)
        await #expect(throws: Flaky(number: 7)) {
            try await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
                try await retry.run { throw Flaky(number: 7) }
            }
        }
        #expect(clock.sleeperCount == 0)
    }

    @Test("INV-20: no wait begins that leaves less than an attempt needs", arguments: [3, 4])
    func minimumAttempt(seconds: Int) async {
        let timeSource = TimeSource(clock)
        let deadline = Deadline(instant: timeSource.instant(after: .seconds(10)), timeSource: timeSource)
        let retry = RetryPolicy(
            RetryConfiguration(
                .idempotent,
                maxAttempts: 2,
                backoff: .constant(.seconds(6), jitter: .none),
                minimumAttempt: .seconds(seconds)
            ),
            clock: clock
        )
        let runs = Counter()
        let task = Task {
            try await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
                try await retry.run {
                    runs.increment()
                    throw Flaky()
                }
            }
        }
        if seconds == 3 { await clock.advanceToNextSleeper() }
        let error = await task.result
        #expect(throws: (any Error).self) { try error.get() }
        #expect(runs.value == (seconds == 3 ? 2 : 1))
    }

    @Test("INV-20: an attempt that the deadline cut off does not hide why those before it failed")
    func deadlineDuringLaterAttempt() async {
        let timeSource = TimeSource(clock)
        let deadline = Deadline(instant: timeSource.instant(after: .seconds(10)), timeSource: timeSource)
        let retry = policy(5)
        let task = Task { [clock] in
            var runs = 0
            try await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) {
                try await retry.run {
                    runs += 1
                    if runs == 1 { throw Flaky(number: 1) }
                    clock.advance(by: .seconds(10))
                    unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                    throw CancellationError()
                }
            }
        }
        let error = await #expect(throws: RetryError.self) { try await task.value }
        #expect(error?.reason == .deadlineTooClose)
        #expect(error?.attempts.first?.error as? Flaky == Flaky(number: 1))
        #expect(error?.lastError is CancellationError)
    }

    @Test("INV-19: cancellation during a wait returns at once and makes no further attempt")
    func cancelledDuringWait() async {
        let retry = policy(5, backoff: .constant(.seconds(10)))
        let runs = Counter()
        let task = Task {
            try await retry.run {
                runs.increment()
                throw Flaky()
            }
        }
        await clock.waitForSleepers(1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(runs.value == 1)
        #expect(clock.sleeperCount == 0)
    }

    @Test("an error thrown after the caller was cancelled is thrown as it is and not retried")
    func cancelledDuringAttempt() async {
        let retry = policy(5)
        let runs = Counter()
        let task = Task {
            try await retry.run {
                runs.increment()
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                throw Flaky(number: 3)
            }
        }
        await #expect(throws: Flaky(number: 3)) { try await task.value }
        #expect(runs.value == 1)
    }

    @Test("an observer is told of every retry and of giving up, in order")
    func observes() async throws {
        let events = EventRecorder<RetryEvent>()
        try? await policy(3, observer: events.record).run { throw Flaky() }
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

    @Test("the short form takes a clock, a classification, chance and an observer")
    func shortForm() async {
        let events = EventRecorder<RetryEvent>()
        let retry = RetryPolicy(
            .idempotent,
            maxAttempts: 2,
            backoff: .constant(.seconds(10)),
            classify: { $0 is Flaky ? .retry : .stop },
            clock: clock,
            randomness: SeededGenerator(seed: 3),
            observer: events.record
        )
        let task = Task { try await retry.run { throw Flaky() } }
        await clock.advanceToNextSleeper()
        await #expect(throws: RetryError.self) { try await task.value }
        await #expect(throws: Refusal.self) {
            try await retry.run { throw Refusal(retryAfter: .zero, isRejection: false) }
        }
        #expect(await events.wait(for: 2).count == 2)
    }

    @Test("a hundred calls that share a policy do not share attempts")
    func concurrentCalls() async {
        let retry = policy(3)
        let runs = Counter()
        await withTaskGroup { group in
            for _ in 0..<100 {
                group.addTask {
                    try? await retry.run {
                        runs.increment()
                        throw Flaky()
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
            if runs < 10_000 { throw Flaky() }
            return runs
        }
        #expect(value == 10_000)
    }

    @Test("a classification may call back into the policy")
    func classifyReenters() async {
        let inner = policy(2)
        let retry = RetryPolicy(
            RetryConfiguration(.idempotent, maxAttempts: 2, backoff: .none),
            classify: { inner.configuration.maxAttempts == 2 ? RetryDecision.standard(for: $0) : .stop },
            clock: clock
        )
        let error = await #expect(throws: RetryError.self) { try await retry.run { throw Flaky() } }
        #expect(error?.attemptCount == 2)
    }

    @Test("a traced call notes its attempts, its waits and why it gave up")
    func trace() async {
        let trace = CallTrace(timeSource: TimeSource(clock))
        _ = try? await CallTrace.$current.withValue(trace) {
            try await policy(2).run { throw Flaky() }
        }
        let runs = Counter()
        _ = try? await CallTrace.$current.withValue(trace) {
            try await policy(2).run { if runs.increment() == 1 { throw Flaky() } }
        }
        let steps = trace.record(name: "call", outcome: .failure, error: nil).entries.map { entry in
            switch entry.step {
            case .attempt(let number, _, let error): "attempt \(number) \(error == nil ? "succeeded" : "failed")"
            case .waiting: "waiting"
            case .gaveUp(let code): "\(code)"
            case .hedged, .refused, .timedOut, .fellBack, .suppressed: "?"
            }
        }
        #expect(
            steps == [
                "attempt 1 failed", "waiting", "attempt 2 failed", "retry.exhausted",
                "attempt 1 failed", "waiting", "attempt 2 succeeded",
            ]
        )
    }

    @Test("a policy says how many attempts and how much waiting there can be")
    func layers() throws {
        let configuration = RetryConfiguration(
            .notIdempotent,
            maxAttempts: 4,
            backoff: .exponential(initial: .seconds(1), cap: .seconds(3)),
            throttledBackoff: .constant(.seconds(2)),
            maximumRetryAfter: .zero
        )
        let layer = try #require(RetryPolicy(configuration).layers.first)
        #expect(layer.kind == .retry)
        #expect(layer.attempts == 4)
        #expect(layer.waits == .seconds(7))
        #expect(
            layer.summary == """
                up to 4 attempts, waits of 1 s, doubling up to 3 s, full jitter, only what was not sent
                """
        )
        let patient = RetryPolicy(RetryConfiguration(.idempotent, maxAttempts: .max))
        #expect(patient.layers.first?.waits == .nanoseconds(Int64.max))
        #expect(RetryPolicy(.idempotent, maxAttempts: 3).layers.first?.waits == .seconds(132))
        #expect(RetryPolicy(.idempotent, maxAttempts: 1).layers.first?.waits == .zero)
        let waiting = RetryConfiguration(
            .idempotent,
            maxAttempts: 2,
            backoff: .none,
            throttledBackoff: .none,
            maximumRetryAfter: .zero,
            maximumRejectionWait: .seconds(10)
        )
        #expect(RetryPolicy(waiting).layers.first?.waits == .seconds(11))
    }

    @Test("no attempts are refused at construction, with the value in the message")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) { _ = RetryPolicy(.idempotent, maxAttempts: 0) }
        await #expect(processExitsWith: .failure) {
            _ = RetryConfiguration(.idempotent, minimumAttempt: .seconds(-1))
        }
        await #expect(processExitsWith: .failure) {
            _ = RetryConfiguration(.idempotent, maximumRejectionWait: .seconds(-1))
        }
    }
}

@Suite("RetryPolicy keeps the caller's isolation")
struct RetryIsolationTests {
    final class NotSendable { var count = 0 }

    actor Account {
        var balance = 0
        func deposit(_ retry: RetryPolicy) async throws -> Int {
            try await retry.run {
                self.preconditionIsolated()
                balance += 1
                if balance < 3 { throw Flaky() }
                return balance
            }
        }
    }

    @Test("an actor's state is changed in place")
    func actorIsolated() async throws {
        let balance = try await Account().deposit(RetryPolicy(.idempotent, maxAttempts: 5, backoff: .none))
        #expect(balance == 3)
    }

    @Test("the main actor stays the main actor")
    @MainActor
    func mainActor() async throws {
        let box = NotSendable()
        let result = try await RetryPolicy(.idempotent, maxAttempts: 2, backoff: .none).run {
            MainActor.preconditionIsolated()
            box.count += 1
            if box.count < 2 { throw Flaky() }
            return box
        }
        #expect(result === box)
        #expect(box.count == 2)
    }

    @Test("a value that is not Sendable can be used and returned")
    func nonisolated() async throws {
        let box = NotSendable()
        let result = try await RetryPolicy(.idempotent, maxAttempts: 2, backoff: .none).run { box }
        #expect(result === box)
    }
}
