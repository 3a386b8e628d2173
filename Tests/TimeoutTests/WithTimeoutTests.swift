import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing
import Timeout

@Suite("withTimeout")
struct WithTimeoutTests {
    let clock = ManualClock()

    @Test("a call that ends in time returns its value and leaves no timer")
    func inTime() async throws {
        let value = try await withTimeout(.seconds(5), clock: clock) { "done" }
        #expect(value == "done")
        #expect(clock.sleeperCount == 0)
    }

    @Test("an error within the limit is thrown unchanged")
    func failure() async {
        await #expect(throws: TestError()) {
            try await withTimeout(.seconds(5), clock: clock) { throw TestError() }
        }
    }

    @Test("a call that hangs is cancelled at the limit and throws TimeoutError with its own error")
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

    @Test("a value that arrives after the limit is returned")
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

    @Test("a call waits for an operation that ignores cancellation")
    func waits() async throws {
        let gate = ManualClock()
        let ended = ConcurrencyCounter()
        let task = Task {
            try await withTimeout(.seconds(5), clock: clock) {
                try? await hang()
                // The task ignores the cancellation.
                await Task { try? await gate.sleep(for: .seconds(1)) }.value
                ended.increment()
                throw TestError()
            }
        }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(5))
        await gate.waitForSleepers(1)
        #expect(ended.value == 0)
        gate.advance(by: .seconds(1))
        let error = await #expect(throws: TimeoutError.self) { try await task.value }
        #expect(error?.underlyingError is TestError)
        #expect(ended.value == 1)
    }

    @Test("a cancelled caller gets the call's own error, never a timeout")
    func callerCancelled() async throws {
        let task = Task { try await withTimeout(.seconds(5), clock: clock) { try await hang() } }
        await clock.waitForSleepers(1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(clock.sleeperCount == 0)
    }

    /// Works without a suspension until the task is cancelled, or returns `false` after a billion steps.
    private func compute() -> Bool {
        for _ in 0..<1_000_000_000 where Task.isCancelled { return true }
        return false
    }

    @Test("work that never suspends is cancelled at the limit")
    func computes() async throws {
        #expect(try await withTimeout(.milliseconds(1)) { compute() })
    }

    @Test("work that never suspends is cancelled at the limit on an actor")
    @MainActor
    func computesOnActor() async throws {
        #expect(try await withTimeout(.milliseconds(1)) { compute() })
    }

    @Test("work that never suspends is cancelled with its caller")
    func computesForCancelledCaller() async throws {
        let started = ConcurrencyCounter()
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

    @Test("the operation of a cancelled caller is cancelled from its first line")
    func cancelledBefore() async throws {
        let task = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return try await withTimeout(.seconds(5), clock: clock) { Task.isCancelled }
        }
        #expect(try await task.value)
    }

    @Test("a call with no time left does not start", arguments: [Duration.zero, .seconds(-1), .seconds(Int64.min)])
    func noTimeLeft(limit: Duration) async {
        let runs = ConcurrencyCounter()
        let error = await #expect(throws: TimeoutError.self) {
            try await withTimeout(limit, clock: clock) { runs.increment() }
        }
        #expect(runs.value == 0)
        #expect(error?.isRejection == true)
    }

    @Test("an extreme limit is no limit")
    func extreme() async throws {
        #expect(try await withTimeout(.seconds(Int64.max), clock: clock) { 1 } == 1)
        #expect(try await withTimeout(.seconds(Int64.max)) { 2 } == 2)
    }

    @Test("the operation sees the deadline, and the earliest of nested limits applies")
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

    @Test("an extreme instant is in the past")
    func extremeInstant() async {
        let now = ContinuousClock.now
        await #expect(throws: TimeoutError.self) {
            try await withTimeout(until: now.advanced(by: Duration(attoseconds: .min))) {}
        }
    }

    @Test("an instant in the past rejects the call, and an instant in the future limits the call")
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

    @Test("the default is returned for a timeout and for no other error")
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

        await #expect(throws: TestError()) {
            try await withTimeout(.seconds(5), default: "default", clock: clock) { throw TestError() }
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

    @Test("concurrent calls end at their own limits, and their results keep the given order")
    func concurrent() async throws {
        let task = Task {
            await withConcurrentTimeouts(
                [
                    TimedOperation(.seconds(1)) { try await hang() },
                    TimedOperation(.seconds(9)) {},
                    TimedOperation(.seconds(2)) { throw TestError() },
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

    @Test("a thousand simultaneous calls on the real clock leave no timer")
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
        // Other tests may have a few timers at the same time.
        #expect(DeadlineScheduler.shared.pendingCount < before + 500)
    }

    @Test("a call that expires and completes simultaneously returns its value or throws TimeoutError")
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

@Suite("withTimeout: isolation")
struct WithTimeoutIsolationTests {
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

    @Test("an operation on an actor changes the actor's state in place")
    func actorIsolated() async throws {
        #expect(try await Account().deposit() == 2)
    }

    /// Runs its jobs in order on its own thread.
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

    @Test("an operation on an actor stays on the actor's custom executor")
    func customExecutor() async throws {
        let actor = OnQueue()
        #expect(try await actor.run() == 2)
    }

    @Test("a call into another actor returns to the caller's actor")
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

    @Test("an operation has the base priority of its caller")
    func startsInPlace() async throws {
        let task = Task(priority: .low) {
            try await withTimeout(.seconds(3600)) { Task.basePriority }
        }
        #expect(try await task.value == .low)
    }

    @Test("an operation sees outer task-local values, and inner values end with their scope")
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

    @Test("an operation on the main actor stays there and sees task-local values")
    @MainActor
    func mainActor() async throws {
        let box = NonSendableCounter()
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
        let box = NonSendableCounter()
        let result = try await withTimeout(.seconds(3600)) {
            await Task.yield()
            box.count += 1
            return box
        }
        #expect(result === box)
        #expect(box.count == 1)
    }
}
