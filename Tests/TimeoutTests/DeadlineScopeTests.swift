import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing
import Timeout

@Suite("DeadlineScope")
struct DeadlineScopeTests {
    let clock = ManualClock()

    /// Starts a task that runs `body` after a call of `start`.
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

    @Test("a task that outlives its call has no deadline")
    func outlives() async throws {
        let pool = try await withTimeout(.seconds(5), clock: clock) {
            #expect(Deadline.current?.remaining == .seconds(5))
            return outliving { Deadline.current?.remaining }
        }
        pool.start()
        #expect(await pool.task.value == nil)
    }

    @Test("a task that outlives an inner call has the outer call's deadline until the outer call ends")
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

    @Test("a task that outlives a movable, an abandoning or a concurrent limit has no deadline")
    func otherForms() async throws {
        let moved = try await withTimeout(.seconds(5), clock: clock) { deadline in
            deadline.reset(after: .seconds(7))
            return outliving { Deadline.current?.remaining }
        }
        let abandoning = try await withAbandoningTimeout(
            .seconds(5),
            grace: .zero,
            abandoned: AbandonedOperations(maxCount: 1),
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
        let concurrent = Lock<Task<Duration?, Never>?>(nil)
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        _ = await withConcurrentTimeouts(
            [
                TimedOperation(.seconds(3)) {
                    let task = Task {
                        for await _ in stream {}
                        return Deadline.current?.remaining
                    }
                    concurrent.withLock { $0 = task }
                }
            ],
            clock: clock
        )
        moved.start()
        abandoning.1.finish()
        continuation.finish()
        #expect(await moved.task.value == nil)
        #expect(await abandoning.0.value == nil)
        let task = try #require(concurrent.withLock { $0 })
        #expect(await task.value == nil)
    }

    @Test("a limit in a task that outlives its call is not cut by the call's deadline")
    func cutByNoEndedCall() async throws {
        let clock = clock
        let task = try await withTimeout(.seconds(5), clock: clock) {
            let task = Task {
                await #expect(throws: TimeoutError.self) {
                    try await withTimeout(.seconds(20), clock: clock) {
                        #expect(Deadline.current?.remaining == .seconds(5))
                        try await hang()
                    }
                }
                return clock.now
            }
            await clock.waitForSleepers(2)
            return task
        }
        let start = clock.now
        clock.advance(by: .seconds(5))
        // Armed again, for the call's own limit.
        #expect(clock.timeToNextSleeper == .seconds(15))
        clock.advance(by: .seconds(15))
        #expect(start.duration(to: await task.value) == .seconds(20))
    }

    @Test("an abandoning limit in a task that outlives its call is not cut by the call's deadline")
    func abandoningCutByNoEndedCall() async throws {
        let clock = clock
        let abandoned = AbandonedOperations(maxCount: 1)
        let task = try await withTimeout(.seconds(5), clock: clock) {
            let task = Task {
                _ = await #expect(throws: TimeoutError.self) {
                    try await withAbandoningTimeout(.seconds(20), grace: .zero, abandoned: abandoned, clock: clock) {
                        try await hang()
                    }
                }
            }
            await clock.waitForSleepers(2)
            return task
        }
        clock.advance(by: .seconds(5))
        #expect(abandoned.peakCount == 0)
        #expect(clock.timeToNextSleeper == .seconds(15))
        clock.advance(by: .seconds(15))
        await task.value
        #expect(abandoned.peakCount == 1)
    }

    @Test("work outside of the call context has no deadline, and neither do its tasks")
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
}
