import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import Timeout

private struct Failure: Error, Equatable {}

/// Holds tasks up until it is opened, whether or not they are cancelled.
private final class Barrier: Sendable {
    private let clock = ManualClock()

    func pass() async {
        let wait = Task.detached { [clock] in try? await clock.sleep(for: .seconds(1)) }
        await wait.value
    }

    func waitForArrivals(_ count: Int) async { await clock.waitForSleepers(count) }
    func open() { clock.advance(by: .seconds(1)) }
}

@Suite("withAbandoningTimeout")
struct AbandoningTimeoutTests {
    let clock = ManualClock()
    let abandoned = AbandonedOperations(limit: 2)
    private let barrier = Barrier()

    /// A call that ignores cancellation, abandoned.
    private func abandon(disposing dispose: @escaping @Sendable (Int) -> Void = { _ in }) async throws -> TimeoutError?
    {
        let task = Task {
            try await withAbandoningTimeout(
                .seconds(5),
                grace: .seconds(1),
                abandoned: abandoned,
                clock: clock,
                disposing: { dispose($0) },
                operation: {
                    await barrier.pass()
                    return 7
                }
            )
        }
        await barrier.waitForArrivals(abandoned.count + 1)
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(5))
        #expect(clock.timeToNextSleeper == .seconds(1))
        clock.advance(by: .seconds(1))
        return await #expect(throws: TimeoutError.self) { try await task.value }
    }

    @Test("a call that ends in time returns its value, and its timer is gone")
    func inTime() async throws {
        let value = try await withAbandoningTimeout(.seconds(5), grace: .seconds(1), abandoned: abandoned, clock: clock)
        {
            "done"
        }
        #expect(value == "done")
        #expect(clock.sleeperCount == 0)
        #expect(abandoned.highest == 0)
    }

    @Test("an error within the limit is thrown as it is")
    func failure() async {
        await #expect(throws: Failure()) {
            try await withAbandoningTimeout(.seconds(5), grace: .seconds(1), abandoned: abandoned, clock: clock) {
                throw Failure()
            }
        }
    }

    @Test(
        "INV-30: the call returns at the limit and the grace although its operation ignores cancellation, and is counted"
    )
    func walksAway() async throws {
        let error = try await abandon()
        #expect(error?.isAbandoned == true)
        #expect(error?.isRejection == false)
        #expect(error?.mayHaveBeenSent == true)
        #expect(abandoned.count == 1)
        #expect(clock.sleeperCount == 0)
    }

    @Test("INV-32: a value that comes after its caller has left is disposed once, and no longer counted")
    func disposes() async throws {
        let disposed = EventRecorder<Int>()
        _ = try await abandon { disposed.record($0) }
        #expect(disposed.events.isEmpty)
        barrier.open()
        #expect(await disposed.wait(for: 1) == [7])
        #expect(abandoned.count == 0)
        #expect(abandoned.highest == 1)
    }

    @Test("a late value is disposed in a task that is not cancelled")
    func disposesUncancelled() async throws {
        let cancelled = EventRecorder<Bool>()
        _ = try await abandon { _ in cancelled.record(Task.isCancelled) }
        barrier.open()
        #expect(await cancelled.wait(for: 1) == [false])
    }

    @Test("a late value is disposed under no deadline: the one that was missed says nothing about the disposal")
    func disposesWithoutDeadline() async throws {
        let deadlines = EventRecorder<Bool>()
        _ = try await abandon { _ in deadlines.record(Deadline.current != nil) }
        barrier.open()
        #expect(await deadlines.wait(for: 1) == [false])
    }

    @Test("past the cap a call is refused and not begun; when one of the abandoned ends, calls are admitted again")
    func cap() async throws {
        let disposed = EventRecorder<Int>()
        _ = try await abandon { disposed.record($0) }
        _ = try await abandon { disposed.record($0) }
        let begun = Counter()
        let refusal = await #expect(throws: AbandonedOperationsError.self) {
            try await withAbandoningTimeout(.seconds(5), grace: .seconds(1), abandoned: abandoned, clock: clock) {
                _ = begun.increment()
            }
        }
        #expect(refusal?.isRejection == true)
        #expect(refusal?.mayHaveBeenSent == false)
        #expect(refusal?.count == 2)
        #expect(begun.value == 0)
        barrier.open()
        await disposed.wait(for: 2)
        try await withAbandoningTimeout(.seconds(5), grace: .seconds(1), abandoned: abandoned, clock: clock) {
            _ = begun.increment()
        }
        #expect(begun.value == 1)
    }

    @Test(
        "an operation that fails within the grace throws TimeoutError with its own error inside, and nothing is abandoned"
    )
    func endsWithinGrace() async throws {
        let hanging = ManualClock()
        let task = Task {
            try await withAbandoningTimeout(.seconds(5), grace: .seconds(1), abandoned: abandoned, clock: clock) {
                try await hanging.sleep(for: .seconds(1))
            }
        }
        await hanging.waitForSleepers(1)
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(5))
        let error = await #expect(throws: TimeoutError.self) { try await task.value }
        #expect(error?.underlyingError is CancellationError)
        #expect(error?.isAbandoned == false)
        #expect(abandoned.highest == 0)
        #expect(clock.sleeperCount == 0)
    }

    @Test("INV-32: an operation that succeeds within the grace still succeeds")
    func succeedsWithinGrace() async throws {
        let hanging = ManualClock()
        let disposed = EventRecorder<String>()
        let task = Task {
            try await withAbandoningTimeout(
                .seconds(5),
                grace: .seconds(1),
                abandoned: abandoned,
                clock: clock,
                disposing: { disposed.record($0) },
                operation: {
                    try? await hanging.sleep(for: .seconds(1))
                    return "late"
                }
            )
        }
        await hanging.waitForSleepers(1)
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(5))
        #expect(try await task.value == "late")
        #expect(disposed.events.isEmpty)
    }

    @Test("a cancelled caller waits for the grace and leaves with CancellationError: never a timeout, and counted")
    func callerCancelled() async throws {
        let task = Task {
            try await withAbandoningTimeout(.seconds(5), grace: .seconds(1), abandoned: abandoned, clock: clock) {
                await barrier.pass()
            }
        }
        await barrier.waitForArrivals(1)
        await clock.waitForSleepers(1)
        task.cancel()
        #expect(clock.timeToNextSleeper == .seconds(1))
        clock.advance(by: .seconds(1))
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(abandoned.count == 1)
        barrier.open()
    }

    @Test("a call whose caller is cancelled already is not begun")
    func cancelledBefore() async throws {
        let begun = Counter()
        let task = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            try await withAbandoningTimeout(.seconds(5), grace: .zero, abandoned: abandoned, clock: clock) {
                _ = begun.increment()
            }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(begun.value == 0)
        #expect(abandoned.highest == 0)
    }

    @Test("a caller that is cancelled already is told so, whatever else there is to refuse")
    func cancelledIsNoTimeout() async throws {
        abandoned.add()
        abandoned.add()
        for limit in [Duration.zero, .seconds(5)] {
            let task = Task {
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                try await withAbandoningTimeout(limit, grace: .zero, abandoned: abandoned, clock: clock) {}
            }
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }

    @Test("a cancellation handler that blocks holds neither its caller nor other timers")
    func blockingHandler() async throws {
        let gate = Gate()
        let handlerRuns = EventRecorder<Void>()
        await #expect(throws: TimeoutError.self) {
            try await withAbandoningTimeout(.milliseconds(1), grace: .milliseconds(50), abandoned: abandoned) {
                await withTaskCancellationHandler {
                    await handlerRuns.wait(for: 1)
                    await barrier.pass()
                } onCancel: {
                    handlerRuns.record(())
                    gate.pass()
                }
            }
        }
        gate.open()
        barrier.open()
    }

    @Test("a call with no time left is not begun", arguments: [Duration.zero, .seconds(-1), .seconds(Int64.min)])
    func noTime(limit: Duration) async throws {
        let error = await #expect(throws: TimeoutError.self) {
            try await withAbandoningTimeout(limit, grace: .seconds(1), abandoned: abandoned, clock: clock) {}
        }
        #expect(error?.isRejection == true)
    }

    @Test("absurd limits and graces saturate", arguments: [Duration.seconds(Int64.max), .seconds(Int64.min)])
    func absurd(duration: Duration) async throws {
        try await withAbandoningTimeout(.seconds(Int64.max), grace: duration, abandoned: abandoned, clock: clock) {}
        try await withAbandoningTimeout(.seconds(1), grace: duration, abandoned: abandoned, clock: clock) {}
    }

    @Test("an earlier deadline of the task holds")
    func ambient() async throws {
        try await withTimeout(.seconds(3), clock: clock) {
            try await withAbandoningTimeout(.seconds(5), grace: .seconds(1), abandoned: abandoned, clock: clock) {
                #expect(Deadline.current?.remaining == .seconds(3))
            }
        }
    }

    @Test("INV-30: of calls that end, expire and are cancelled all at once, each returns once, and none stays counted")
    func race() async throws {
        let disposed = Counter()
        let outcomes = Counter()
        let many = AbandonedOperations(limit: .max)
        for round in 0..<200 {
            let clock = ManualClock()
            let task = Task {
                do {
                    _ = try await withAbandoningTimeout(
                        .seconds(1),
                        grace: round.isMultiple(of: 2) ? .zero : .seconds(1),
                        abandoned: many,
                        clock: clock,
                        disposing: { (_: Int) in _ = disposed.increment() },
                        operation: {
                            for _ in 0..<(round % 5) { await Task.yield() }
                            return round
                        }
                    )
                } catch {}
                outcomes.increment()
            }
            async let moved: Void = {
                clock.advance(by: .seconds(1))
                clock.advance(by: .seconds(1))
            }()
            if round.isMultiple(of: 3) { task.cancel() }
            await moved
            clock.advance(by: .seconds(3))
            await task.value
        }
        #expect(outcomes.value == 200)
        // What is left behind yields a few times at most and then ends.
        while many.count > 0 { await Task.yield() }
        #expect(many.count == 0)
    }

    @Test("a cap below 1 is refused with its value")
    func badCap() async {
        await #expect(processExitsWith: .failure) { _ = AbandonedOperations(limit: 0) }
    }
}
