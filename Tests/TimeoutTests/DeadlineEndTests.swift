import ReliabilityCore
import ReliabilityTesting
import Testing
import Timeout

/// A clock that is set by hand and never wakes a sleeper: a timer that is too late.
private final class LateClock: Clock, Sendable {
    typealias Instant = ManualClock.Instant

    private let time = ManualClock()

    var now: Instant { time.now }
    var minimumResolution: Duration { .nanoseconds(1) }

    func advance(by duration: Duration) { time.advance(by: duration) }

    func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        try await ManualClock().sleep(for: .seconds(1))
    }
}

private struct Failure: Error {}

@Suite("The end of a deadline")
struct DeadlineEndTests {
    let clock = ManualClock()

    /// A task that is started in a call and goes on when `start` is called.
    private func outliving<Success: Sendable>(
        _ body: @escaping @Sendable () async -> Success
    ) -> (task: Task<Success, Never>, start: () -> Void) {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            for await _ in stream {}
            return await body()
        }
        return (task, { continuation.finish() })
    }

    @Test("a task that outlives the call in which it was started has no deadline")
    func outlives() async throws {
        let pool = try await withTimeout(.seconds(5), clock: clock) {
            #expect(Deadline.current?.remaining == .seconds(5))
            return outliving { Deadline.current?.remaining }
        }
        pool.start()
        #expect(await pool.task.value == nil)
    }

    @Test("a task that outlives the inner of two calls has the outer one's deadline until that ends")
    func outlivesInner() async throws {
        let last = try await withTimeout(.seconds(9), clock: clock) {
            let (first, last) = try await withTimeout(.seconds(5), clock: clock) {
                (outliving { Deadline.current?.remaining }, outliving { Deadline.current?.remaining })
            }
            first.start()
            #expect(await first.task.value == .seconds(9))
            return last
        }
        last.start()
        #expect(await last.task.value == nil)
    }

    @Test("a task that is abandoned, or was started in a call with a movable or an abandoning limit, has none either")
    func otherForms() async throws {
        let moved = try await withTimeout(.seconds(5), clock: clock) { deadline in
            deadline.move(to: .seconds(7))
            return outliving { Deadline.current?.remaining }
        }
        let abandoning = try await withAbandoningTimeout(
            .seconds(5),
            grace: .zero,
            abandoned: AbandonedOperations(limit: 1),
            clock: clock
        ) {
            let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
            return (
                Task {
                    for await _ in stream {}
                    return Deadline.current?.remaining
                }, continuation
            )
        }
        let concurrent = Box<Task<Duration?, Never>>()
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        _ = await withConcurrentTimeouts(
            [
                TimedOperation(.seconds(3)) {
                    concurrent.value = Task {
                        for await _ in stream {}
                        return Deadline.current?.remaining
                    }
                }
            ],
            clock: clock
        )
        moved.start()
        abandoning.1.finish()
        continuation.finish()
        #expect(await moved.task.value == nil)
        #expect(await abandoning.0.value == nil)
        #expect(await concurrent.value?.value == nil)
        #expect(concurrent.value != nil)
    }

    @Test("a limit that began inside a call is not cut by that call's deadline once the call has ended")
    func cutByNoEndedCall() async throws {
        let clock = clock
        let task = try await withTimeout(.seconds(5), clock: clock) {
            let task = Task {
                await #expect(throws: TimeoutError.self) {
                    try await withTimeout(.seconds(20), clock: clock) {
                        #expect(Deadline.current?.remaining == .seconds(5))
                        try await ManualClock().sleep(for: .seconds(1))
                    }
                }
                return clock.now
            }
            await clock.waitForSleepers(2)
            return task
        }
        let start = clock.now
        clock.advance(by: .seconds(5))
        // Armed again, for the limit of its own.
        #expect(clock.timeToNextSleeper == .seconds(15))
        clock.advance(by: .seconds(15))
        #expect(start.duration(to: await task.value) == .seconds(20))
    }

    @Test("an abandoning limit that began inside a call is not cut by that call's deadline once the call has ended")
    func abandoningCutByNoEndedCall() async throws {
        let clock = clock
        let abandoned = AbandonedOperations(limit: 1)
        let task = try await withTimeout(.seconds(5), clock: clock) {
            let task = Task {
                _ = await #expect(throws: TimeoutError.self) {
                    try await withAbandoningTimeout(.seconds(20), grace: .zero, abandoned: abandoned, clock: clock) {
                        try await ManualClock().sleep(for: .seconds(1))
                    }
                }
            }
            await clock.waitForSleepers(2)
            return task
        }
        clock.advance(by: .seconds(5))
        #expect(abandoned.highest == 0)
        #expect(clock.timeToNextSleeper == .seconds(15))
        clock.advance(by: .seconds(15))
        await task.value
        #expect(abandoned.highest == 1)
    }

    @Test("work outside of the call has no deadline, and neither have the tasks that it starts")
    func withoutContext() async throws {
        let (here, there) = try await withTimeout(.seconds(5), clock: clock) {
            let task = withoutCallContext { Task { Deadline.current?.remaining } }
            let here = await withoutCallContext {
                await Task.yield()
                return Deadline.current?.remaining
            }
            #expect(Deadline.current?.remaining == .seconds(5))
            return (here, await task.value)
        }
        #expect(here == nil && there == nil)
    }

    // MARK: Who ended the call

    @Test("what fails after the deadline has expired, though the timer is late and something inside noticed first")
    func lateTimer() async throws {
        let late = LateClock()
        let value = try await withTimeout(.seconds(1), default: -1, clock: late) {
            late.advance(by: .seconds(1))
            try await withTimeout(.seconds(5), clock: late) {}
            return 1
        }
        #expect(value == -1)
        let error = await #expect(throws: TimeoutError.self) {
            try await withTimeout(.seconds(1), clock: late) {
                late.advance(by: .seconds(1))
                throw Failure()
            }
        }
        #expect(error?.underlyingError is Failure)
        #expect(error?.isRejection == false)
    }

    @Test("what fails before the deadline has not expired, however late it was cancelled")
    func beforeDeadline() async throws {
        let late = LateClock()
        await #expect(throws: Failure.self) {
            try await withTimeout(.seconds(1), default: -1, clock: late) {
                late.advance(by: .seconds(1) - .nanoseconds(1))
                throw Failure()
            }
        }
    }

    @Test("the default answers when the deadline of a call further out is what ends the inner one")
    func outerDeadline() async throws {
        let late = LateClock()
        let clock = clock
        // The inner call has no timer that fires: the outer one's cancels both.
        let value = try await withTimeout(.seconds(2), clock: clock) {
            try await withTimeout(.seconds(60), default: -1, clock: late) {
                clock.advance(by: .seconds(2))
                try Task.checkCancellation()
                return 1
            }
        }
        #expect(value == -1)
    }

    @Test("a caller who leaves before the deadline is no expiry, though the operation ends after it")
    func callerLeft() async {
        let clock = clock
        let task = Task {
            try await withTimeout(.seconds(5), default: -1, clock: clock) {
                try? await ManualClock().sleep(for: .seconds(1))
                clock.advance(by: .seconds(9))
                throw Failure()
            }
        }
        await clock.waitForSleepers(1)
        task.cancel()
        await #expect(throws: Failure.self) { try await task.value }
    }

    @Test("an operation that was abandoned says so through the limits around it")
    func abandonedInside() async throws {
        let clock = clock
        let (stream, end) = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            try await withTimeout(.seconds(1), clock: clock) {
                try await withAbandoningTimeout(
                    .seconds(60),
                    grace: .seconds(1),
                    abandoned: AbandonedOperations(limit: 1),
                    clock: clock
                ) {
                    await Task { for await _ in stream {} }.value
                }
            }
        }
        await clock.waitForSleepers(2)
        clock.advance(by: .seconds(1))
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(1))
        let error = await #expect(throws: TimeoutError.self) { try await task.value }
        #expect(error?.isAbandoned == true)
        #expect(error?.mayHaveBeenSent == true)
        end.finish()
    }

    // MARK: The task

    @Test("the operation's task keeps the name of the caller's task", arguments: [true, false])
    func name(abandoning: Bool) async throws {
        let clock = clock
        let task = Task(name: "checkout") {
            if abandoning {
                return try await withAbandoningTimeout(
                    .seconds(1),
                    grace: .zero,
                    abandoned: AbandonedOperations(limit: 1),
                    clock: clock
                ) { Task.name }
            }
            return try await withTimeout(.seconds(1), clock: clock) { Task.name }
        }
        #expect(try await task.value == "checkout")
        #expect(try await onMain() == "settle")
    }

    private func onMain() async throws -> String? {
        let clock = clock
        return try await Task(name: "settle") { @MainActor in
            try await withTimeout(.seconds(1), clock: clock) {
                await Task.yield()
                return Task.name
            }
        }.value
    }

    #if compiler(>=6.3)
    @Test("the operation's task prefers the executor that the caller's task prefers", arguments: [true, false])
    func executor(abandoning: Bool) async throws {
        let executor = CountingExecutor()
        let clock = clock
        try await withTaskExecutorPreference(executor) {
            let before = executor.jobs.value
            if abandoning {
                try await withAbandoningTimeout(
                    .seconds(1),
                    grace: .zero,
                    abandoned: AbandonedOperations(limit: 1),
                    clock: clock
                ) { await Task.yield() }
            } else {
                try await withTimeout(.seconds(1), clock: clock) { await Task.yield() }
            }
            // One way there after the yield, and one way back.
            #expect(executor.jobs.value >= before + 2)
        }
    }
    #endif
}

private final class CountingExecutor: TaskExecutor {
    let jobs = Counter()

    func enqueue(_ job: consuming ExecutorJob) {
        jobs.increment()
        let job = UnownedJob(job)
        Task.detached { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

private final class Box<Value: Sendable>: Sendable {
    private let lock = Lock<Value?>(nil)

    var value: Value? {
        get { lock.withLock { $0 } }
        set { lock.withLock { $0 = newValue } }
    }
}
