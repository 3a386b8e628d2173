import ReliabilityCore
import ReliabilityTesting
import Testing
import Timeout

private struct Failure: Error, Equatable {}

@Suite("withTimeout")
struct WithTimeoutTests {
    let clock = ManualClock()

    /// Suspends until it is cancelled.
    private func hang() async throws {
        try await ManualClock().sleep(for: .seconds(1))
    }

    @Test("a call that ends in time returns its value, and its timer is gone")
    func inTime() async throws {
        let value = try await withTimeout(.seconds(5), clock: clock) { "done" }
        #expect(value == "done")
        #expect(clock.sleeperCount == 0)
    }

    @Test("an error within the limit is thrown as it is")
    func failure() async {
        await #expect(throws: Failure()) {
            try await withTimeout(.seconds(5), clock: clock) { throw Failure() }
        }
    }

    @Test("a call that hangs is cancelled at the limit and throws TimeoutError with its own error inside")
    func expires() async throws {
        let task = Task { try await withTimeout(.seconds(5), clock: clock) { try await hang() } }
        await clock.waitForSleepers(1)
        #expect(clock.timeToNextSleeper == .seconds(5))
        clock.advance(by: .seconds(5))
        let error = await #expect(throws: TimeoutError.self) { try await task.value }
        #expect(error?.underlyingError is CancellationError)
        #expect(error?.isRejection == false)
        #expect(error?.category == .timeout)
    }

    @Test("INV-32: a value that comes after the limit is returned")
    func lateSuccess() async throws {
        let task = Task {
            try await withTimeout(.seconds(5), clock: clock) {
                try? await hang()
                return Task.isCancelled ? "late" : "early"
            }
        }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(5))
        #expect(try await task.value == "late")
    }

    @Test("the call is waited for: nothing is abandoned")
    func waits() async throws {
        let gate = ManualClock()
        let ended = Counter()
        let task = Task {
            try await withTimeout(.seconds(5), clock: clock) {
                try? await hang()
                // It ignores the cancellation.
                await Task { try? await gate.sleep(for: .seconds(1)) }.value
                ended.increment()
                throw Failure()
            }
        }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(5))
        await gate.waitForSleepers(1)
        #expect(ended.value == 0)
        gate.advance(by: .seconds(1))
        let error = await #expect(throws: TimeoutError.self) { try await task.value }
        #expect(error?.underlyingError is Failure)
        #expect(ended.value == 1)
    }

    @Test("a caller that is cancelled gets the call's own error, never a timeout")
    func callerCancelled() async throws {
        let task = Task { try await withTimeout(.seconds(5), clock: clock) { try await hang() } }
        await clock.waitForSleepers(1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(clock.sleeperCount == 0)
    }

    /// Works without a single suspension until it is cancelled; false when that takes for ever.
    private func compute() -> Bool {
        for _ in 0..<1_000_000_000 where Task.isCancelled { return true }
        return false
    }

    @Test("work that never suspends is cancelled at the limit too")
    func computes() async throws {
        #expect(try await withTimeout(.milliseconds(1)) { compute() })
    }

    @Test("on an actor, work that never suspends is cancelled at the limit too")
    @MainActor
    func computesOnActor() async throws {
        #expect(try await withTimeout(.milliseconds(1)) { compute() })
    }

    @Test("work that never suspends is cancelled with its caller")
    func computesForCancelledCaller() async throws {
        let started = Counter()
        let task = Task {
            try await withTimeout(.seconds(300)) {
                started.increment()
                return compute()
            }
        }
        tryToStartThread {
            while started.value == 0 {}
            task.cancel()
        }
        #expect(try await task.value)
    }

    @Test("a caller that is cancelled before the call still is seen by the call from its first line")
    func cancelledBefore() async throws {
        let task = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return try await withTimeout(.seconds(5), clock: clock) { Task.isCancelled }
        }
        #expect(try await task.value)
    }

    @Test("without time left the call is not begun", arguments: [Duration.zero, .seconds(-1), .seconds(Int64.min)])
    func noTimeLeft(limit: Duration) async {
        let runs = Counter()
        let error = await #expect(throws: TimeoutError.self) {
            try await withTimeout(limit, clock: clock) { runs.increment() }
        }
        #expect(runs.value == 0)
        #expect(error?.isRejection == true)
    }

    @Test("an absurd limit is no limit, and no trap")
    func absurd() async throws {
        #expect(try await withTimeout(.seconds(Int64.max), clock: clock) { 1 } == 1)
        #expect(try await withTimeout(.seconds(Int64.max)) { 2 } == 2)
    }

    @Test("the call sees the deadline, and of nested limits the earliest holds")
    func nested() async throws {
        try await withTimeout(.seconds(5), clock: clock) {
            #expect(Deadline.current?.remaining == .seconds(5))
            try await withTimeout(.seconds(10), clock: clock) {
                #expect(Deadline.current?.remaining == .seconds(5))
                try await withTimeout(.seconds(3), clock: clock) {
                    #expect(Deadline.current?.remaining == .seconds(3))
                }
            }
            #expect(Deadline.current?.remaining == .seconds(5))
        }
        #expect(Deadline.current == nil)
    }

    @Test("an instant that is absurdly long ago is in the past, and no trap")
    func absurdInstant() async {
        let now = ContinuousClock.now
        await #expect(throws: TimeoutError.self) {
            try await withTimeout(until: now.advanced(by: Duration(attoseconds: .min))) {}
        }
    }

    @Test("an instant in the past ends the call before it begins, one in the future limits it")
    func until() async throws {
        clock.advance(by: .seconds(10))
        let now = clock.now
        await #expect(throws: TimeoutError.self) {
            try await withTimeout(until: now.advanced(by: .seconds(-1)), clock: clock) {}
        }
        let left = try await withTimeout(until: now.advanced(by: .seconds(4)), clock: clock) {
            Deadline.current?.remaining
        }
        #expect(left == .seconds(4))
    }

    @Test("the default is returned for this timeout, and for nothing else")
    func fallback() async throws {
        let task = Task {
            try await withTimeout(.seconds(5), default: "default", clock: clock) {
                try await hang()
                return "value"
            }
        }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(5))
        #expect(try await task.value == "default")

        await #expect(throws: Failure()) {
            try await withTimeout(.seconds(5), default: "default", clock: clock) { throw Failure() }
        }

        let cancelled = Task {
            try await withTimeout(.seconds(5), default: "default", clock: clock) {
                try await hang()
                return "value"
            }
        }
        await clock.waitForSleepers(1)
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
    }

    @Test("concurrent calls end by their own limits, in the order given")
    func concurrent() async throws {
        let task = Task {
            await withConcurrentTimeouts(
                [
                    TimedOperation(.seconds(1)) { try await hang() },
                    TimedOperation(.seconds(9)) {},
                    TimedOperation(.seconds(2)) { throw Failure() },
                    TimedOperation(.seconds(3)) { try await hang() },
                ],
                clock: clock
            )
        }
        await clock.waitForSleepers(2)
        while clock.sleeperCount > 2 { await Task.yield() }
        clock.advance(by: .seconds(1))
        await clock.advanceToNextSleeper()
        let results = await task.value
        let kinds = results.map { result in
            switch result {
            case .success: "value"
            case .failure(let error): error is TimeoutError ? "timeout" : "error"
            }
        }
        #expect(kinds == ["timeout", "value", "error", "timeout"])
    }

    @Test("a thousand calls at once on the real clock leave no timer behind")
    func manyTimers() async throws {
        let before = DeadlineScheduler.shared.pendingCount
        try await withThrowingTaskGroup { group in
            for number in 0..<1000 {
                group.addTask {
                    try await withTimeout(.seconds(300)) {
                        await Task.yield()
                        return number
                    }
                }
            }
            var sum = 0
            for try await number in group { sum += number }
            #expect(sum == 999 * 500)
        }
        // Other tests have timers there, too, but not hundreds.
        #expect(DeadlineScheduler.shared.pendingCount < before + 500)
    }

    @Test("expiry and completion at the same moment: always a value or a TimeoutError, never a trap")
    func race() async {
        for round in 0..<200 {
            let clock = ManualClock()
            let gate = ManualClock()
            let task = Task {
                try await withTimeout(.seconds(1), clock: clock) {
                    try await gate.sleep(for: .seconds(1))
                    return round
                }
            }
            await clock.waitForSleepers(1)
            await gate.waitForSleepers(1)
            await withTaskGroup { group in
                group.addTask { clock.advance(by: .seconds(1)) }
                group.addTask { gate.advance(by: .seconds(1)) }
            }
            switch await task.result {
            case .success(let value): #expect(value == round)
            case .failure(let error): #expect(error is TimeoutError)
            }
        }
    }
}

@Suite("TimeoutPolicy")
struct TimeoutPolicyTests {
    @Test("an observer is told of a call that took too long")
    func observes() async {
        let clock = ManualClock()
        let events = EventRecorder<TimeoutEvent>()
        let policy = TimeoutPolicy(.seconds(1), clock: clock, observer: events.record)
        let task = Task { try await policy.run { try await ManualClock().sleep(for: .seconds(1)) } }
        await clock.advanceToNextSleeper()
        await #expect(throws: TimeoutError.self) { try await task.value }
        #expect(await events.wait(for: 1).count == 1)
    }

    @Test("a limit that is not positive is refused at construction")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) { _ = TimeoutPolicy(.zero) }
        await #expect(processExitsWith: .failure) { _ = TimeLimit(.seconds(-1)) }
    }

    @Test("the named limits are the agreed ones")
    func named() {
        #expect(TimeLimit.database.duration == .seconds(10))
        #expect(TimeLimit.externalAPI.duration == .seconds(8))
        #expect(TimeLimit.cache.duration == .seconds(2))
        #expect(TimeLimit.cacheCommand.duration == .seconds(3))
        #expect(TimeLimit.fileUpload.duration == .seconds(30))
        #expect(TimeLimit.email.duration == .seconds(10))
        #expect(TimeLimit.webhook.duration == .seconds(15))
    }
}

@Suite("withTimeout keeps the caller's isolation")
struct TimeoutIsolationTests {
    final class NotSendable { var count = 0 }

    actor Account {
        var balance = 0
        func deposit() async throws -> Int {
            try await withTimeout(.seconds(3600)) {
                self.preconditionIsolated()
                balance += 1
                await Task.yield()
                self.preconditionIsolated()
                balance += 1
                return balance
            }
        }
    }

    @Test("an actor's state is changed in place")
    func actorIsolated() async throws {
        #expect(try await Account().deposit() == 2)
    }

    /// Runs its jobs on a queue's thread of its own.
    final class QueueExecutor: SerialExecutor {
        private let lock = Lock<(queue: [UnownedJob], isRunning: Bool)>(([], false))

        func enqueue(_ job: consuming ExecutorJob) {
            let job = UnownedJob(job)
            let mustStart = lock.withLock { state in
                state.queue.append(job)
                defer { state.isRunning = true }
                return !state.isRunning
            }
            if mustStart { tryToStartThread { [self] in drain() } }
        }

        private func drain() {
            while true {
                let job = lock.withLock { state -> UnownedJob? in
                    if state.queue.isEmpty {
                        state.isRunning = false
                        return nil
                    }
                    return state.queue.removeFirst()
                }
                guard let job else { return }
                unsafe job.runSynchronously(on: asUnownedSerialExecutor())
            }
        }
    }

    actor OnQueue {
        private let executor = QueueExecutor()
        nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }
        var count = 0

        func run() async throws -> Int {
            try await withTimeout(.seconds(3600)) {
                preconditionIsolated()
                count += 1
                await Task.yield()
                preconditionIsolated()
                count += 1
            }
            preconditionIsolated()
            return count
        }
    }

    @Test("an actor with an executor of its own stays on it")
    func customExecutor() async throws {
        let actor = OnQueue()
        #expect(try await actor.run() == 2)
    }

    @Test("one actor's call inside of another's goes there and back")
    @MainActor
    func actorInsideMainActor() async throws {
        let account = Account()
        let balance = try await withTimeout(.seconds(3600)) {
            let balance = try await account.deposit()
            MainActor.preconditionIsolated()
            return balance
        }
        MainActor.preconditionIsolated()
        #expect(balance == 2)
    }

    @Test("a call from nowhere starts where its caller is, and its priority is the caller's")
    func startsInPlace() async throws {
        let task = Task(priority: .low) {
            try await withTimeout(.seconds(3600)) { Task.basePriority }
        }
        #expect(try await task.value == .low)
    }

    @Test("a task-local value that was set outside is seen, and one that is set inside is not seen after")
    func taskLocals() async throws {
        let id = CorrelationID.random()
        try await withCorrelationID(id) {
            try await withTimeout(.seconds(3600)) {
                #expect(CorrelationID.current == id)
                await withCorrelationID(.random()) {
                    #expect(CorrelationID.current != id)
                    await Task.yield()
                }
                #expect(CorrelationID.current == id)
            }
            #expect(CorrelationID.current == id)
            #expect(Deadline.current == nil)
        }
    }

    @Test("the main actor stays the main actor, and task-local values are seen")
    @MainActor
    func mainActor() async throws {
        let box = NotSendable()
        let id = CorrelationID.random()
        let result = try await withCorrelationID(id) {
            try await withTimeout(.seconds(3600)) {
                MainActor.preconditionIsolated()
                box.count += 1
                await Task.yield()
                MainActor.preconditionIsolated()
                #expect(CorrelationID.current == id)
                return box
            }
        }
        #expect(result === box)
    }

    @Test("a value that is not Sendable can be used and returned")
    func nonisolated() async throws {
        let box = NotSendable()
        let result = try await withTimeout(.seconds(3600)) {
            await Task.yield()
            box.count += 1
            return box
        }
        #expect(result === box)
        #expect(box.count == 1)
    }
}
