import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing
import Timeout

/// A manual clock that never wakes a sleeper, as a timer that is too late.
private final class LateClock: Clock, Sendable {
    typealias Instant = ManualClock.Instant

    private let time = ManualClock()

    var now: Instant { time.now }
    var minimumResolution: Duration { .nanoseconds(1) }

    func advance(by duration: Duration) { time.advance(by: duration) }

    func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        try await hang()
    }
}

/// Runs each job in a detached task, and counts the jobs.
private final class CountingExecutor: TaskExecutor {
    let jobs = ConcurrencyCounter()

    func enqueue(_ job: consuming ExecutorJob) {
        jobs.increment()
        let job = UnownedJob(job)
        Task.detached { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

@Suite("TimedCall: expiry")
struct TimedCallExpiryTests {
    let clock = ManualClock()

    @Test("a call that fails after its deadline has expired, even if its timer is late")
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
                throw TestError()
            }
        }
        #expect(error?.underlyingError is TestError)
        #expect(error?.isRejection == false)
    }

    @Test("a call that fails a nanosecond before its deadline throws its own error")
    func beforeDeadline() async throws {
        let late = LateClock()
        await #expect(throws: TestError.self) {
            try await withTimeout(.seconds(1), default: -1, clock: late) {
                late.advance(by: .seconds(1) - .nanoseconds(1))
                throw TestError()
            }
        }
    }

    @Test("the default is returned if the deadline of an outer call ends the call")
    func outerDeadline() async throws {
        let late = LateClock()
        let clock = clock
        // The inner call's timer never fires. The outer call's timer cancels both calls.
        let value = try await withTimeout(.seconds(2), clock: clock) {
            try await withTimeout(.seconds(60), default: -1, clock: late) {
                clock.advance(by: .seconds(2))
                try Task.checkCancellation()
                return 1
            }
        }
        #expect(value == -1)
    }

    @Test("a call cancelled before its deadline throws its own error, even if it ends after the deadline")
    func callerLeft() async {
        let clock = clock
        let task = Task {
            try await withTimeout(.seconds(5), default: -1, clock: clock) {
                try? await hang()
                clock.advance(by: .seconds(9))
                throw TestError()
            }
        }
        await clock.waitForSleepers(1)
        task.cancel()
        await #expect(throws: TestError.self) { try await task.value }
    }

    @Test("the error of an outer limit reports that an inner limit abandoned the operation")
    func abandonedInside() async throws {
        let clock = clock
        let (stream, end) = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            try await withTimeout(.seconds(1), clock: clock) {
                try await withAbandoningTimeout(
                    .seconds(60),
                    grace: .seconds(1),
                    abandoned: AbandonedOperations(maxCount: 1),
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
}

@Suite("TimedCall: the operation's task")
struct TimedCallTaskTests {
    let clock = ManualClock()

    @Test("the operation's task keeps the name of the caller's task", arguments: [true, false])
    func name(abandoning: Bool) async throws {
        let clock = clock
        let task = Task(name: "checkout") {
            if abandoning {
                return try await withAbandoningTimeout(
                    .seconds(1),
                    grace: .zero,
                    abandoned: AbandonedOperations(maxCount: 1),
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
    @Test("the operation's task keeps the executor preference of the caller's task", arguments: [true, false])
    func executor(abandoning: Bool) async throws {
        let executor = CountingExecutor()
        let clock = clock
        try await withTaskExecutorPreference(executor) {
            let before = executor.jobs.value
            if abandoning {
                try await withAbandoningTimeout(
                    .seconds(1),
                    grace: .zero,
                    abandoned: AbandonedOperations(maxCount: 1),
                    clock: clock
                ) { await Task.yield() }
            } else {
                try await withTimeout(.seconds(1), clock: clock) { await Task.yield() }
            }
            // One job after the yield, and one job for the return.
            #expect(executor.jobs.value >= before + 2)
        }
    }
    #endif
}
