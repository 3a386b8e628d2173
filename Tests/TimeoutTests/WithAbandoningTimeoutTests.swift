import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import Timeout

@Suite("withAbandoningTimeout")
struct WithAbandoningTimeoutTests {
    let clock = ManualClock()
    let abandoned = AbandonedOperations(maxCount: 2)
    private let gate = TaskGate()
    private let arrivals = EventRecorder<Void>()

    /// Waits at the gate, also in a cancelled task.
    private func wait() async {
        arrivals.record(())
        await gate.pass()
    }

    /// Abandons a call that ignores cancellation.
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
                    await wait()
                    return 7
                }
            )
        }
        await arrivals.wait(for: abandoned.count + 1)
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(5))
        #expect(clock.timeToNextSleeper == .seconds(1))
        clock.advance(by: .seconds(1))
        return await #expect(throws: TimeoutError.self) { try await task.value }
    }

    @Test("a call that ends in time returns its value and leaves no timer")
    func inTime() async throws {
        let value = try await withAbandoningTimeout(.seconds(5), grace: .seconds(1), abandoned: abandoned, clock: clock)
        {
            "done"
        }
        #expect(value == "done")
        #expect(clock.sleeperCount == 0)
        #expect(abandoned.peakCount == 0)
    }

    @Test("an error within the limit is thrown unchanged")
    func failure() async {
        await #expect(throws: TestError()) {
            try await withAbandoningTimeout(.seconds(5), grace: .seconds(1), abandoned: abandoned, clock: clock) {
                throw TestError()
            }
        }
    }

    @Test(
        "a call that ignores cancellation returns after the limit and the grace and is counted as abandoned"
    )
    func abandons() async throws {
        let error = try await abandon()
        #expect(error?.isAbandoned == true)
        #expect(error?.isRejection == false)
        #expect(error?.mayHaveBeenSent == true)
        #expect(abandoned.count == 1)
        #expect(clock.sleeperCount == 0)
    }

    @Test("a late value is disposed of once, and its call is no longer counted")
    func disposes() async throws {
        let disposed = EventRecorder<Int>()
        _ = try await abandon { disposed.record($0) }
        #expect(disposed.events.isEmpty)
        gate.open()
        #expect(await disposed.wait(for: 1) == [7])
        #expect(abandoned.count == 0)
        #expect(abandoned.peakCount == 1)
    }

    @Test("a late value is disposed of in a task that is not cancelled")
    func disposesUncancelled() async throws {
        let cancelled = EventRecorder<Bool>()
        _ = try await abandon { _ in cancelled.record(Task.isCancelled) }
        gate.open()
        #expect(await cancelled.wait(for: 1) == [false])
    }

    @Test("a late value is disposed of without a deadline")
    func disposesWithoutDeadline() async throws {
        let deadlines = EventRecorder<Bool>()
        _ = try await abandon { _ in deadlines.record(Deadline.current != nil) }
        gate.open()
        #expect(await deadlines.wait(for: 1) == [false])
    }

    @Test("a call above the cap is rejected before its start, until an abandoned call ends")
    func cap() async throws {
        let disposed = EventRecorder<Int>()
        _ = try await abandon { disposed.record($0) }
        _ = try await abandon { disposed.record($0) }
        let begun = ConcurrencyCounter()
        let rejection = await #expect(throws: AbandonedOperationsError.self) {
            try await withAbandoningTimeout(.seconds(5), grace: .seconds(1), abandoned: abandoned, clock: clock) {
                _ = begun.increment()
            }
        }
        #expect(rejection?.isRejection == true)
        #expect(rejection?.mayHaveBeenSent == false)
        #expect(rejection?.count == 2)
        #expect(begun.value == 0)
        gate.open()
        await disposed.wait(for: 2)
        try await withAbandoningTimeout(.seconds(5), grace: .seconds(1), abandoned: abandoned, clock: clock) {
            _ = begun.increment()
        }
        #expect(begun.value == 1)
    }

    @Test(
        "an operation that fails within the grace throws TimeoutError with its error and is not abandoned"
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
        #expect(abandoned.peakCount == 0)
        #expect(clock.sleeperCount == 0)
    }

    @Test("an operation that succeeds within the grace returns its value")
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

    @Test("a cancelled caller waits for the grace and throws CancellationError, and the call is counted")
    func callerCancelled() async throws {
        let task = Task {
            try await withAbandoningTimeout(.seconds(5), grace: .seconds(1), abandoned: abandoned, clock: clock) {
                await wait()
            }
        }
        await arrivals.wait(for: 1)
        await clock.waitForSleepers(1)
        task.cancel()
        #expect(clock.timeToNextSleeper == .seconds(1))
        clock.advance(by: .seconds(1))
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(abandoned.count == 1)
        gate.open()
    }

    @Test("the call of a cancelled caller does not start")
    func cancelledBefore() async throws {
        let begun = ConcurrencyCounter()
        let task = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            try await withAbandoningTimeout(.seconds(5), grace: .zero, abandoned: abandoned, clock: clock) {
                _ = begun.increment()
            }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(begun.value == 0)
        #expect(abandoned.peakCount == 0)
    }

    @Test("a cancelled caller gets CancellationError, even with no time left or above the cap")
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

    @Test("a blocked cancellation handler delays neither its caller nor other timers")
    func blockingHandler() async throws {
        let handlerGate = ThreadGate()
        let handlerRuns = EventRecorder<Void>()
        await #expect(throws: TimeoutError.self) {
            try await withAbandoningTimeout(.milliseconds(1), grace: .milliseconds(50), abandoned: abandoned) {
                await withTaskCancellationHandler {
                    await handlerRuns.wait(for: 1)
                    await wait()
                } onCancel: {
                    handlerRuns.record(())
                    handlerGate.pass()
                }
            }
        }
        handlerGate.open()
        gate.open()
    }

    @Test("a call with no time left does not start", arguments: [Duration.zero, .seconds(-1), .seconds(Int64.min)])
    func noTime(limit: Duration) async throws {
        let error = await #expect(throws: TimeoutError.self) {
            try await withAbandoningTimeout(limit, grace: .seconds(1), abandoned: abandoned, clock: clock) {}
        }
        #expect(error?.isRejection == true)
    }

    @Test("extreme limits and graces saturate", arguments: [Duration.seconds(Int64.max), .seconds(Int64.min)])
    func extreme(duration: Duration) async throws {
        try await withAbandoningTimeout(.seconds(Int64.max), grace: duration, abandoned: abandoned, clock: clock) {}
        try await withAbandoningTimeout(.seconds(1), grace: duration, abandoned: abandoned, clock: clock) {}
    }

    @Test("an earlier deadline of the task applies")
    func ambient() async throws {
        try await withTimeout(.seconds(3), clock: clock) {
            try await withAbandoningTimeout(.seconds(5), grace: .seconds(1), abandoned: abandoned, clock: clock) {
                #expect(Deadline.current?.remaining == .seconds(3))
            }
        }
    }

    @Test("calls that end, expire and are cancelled simultaneously return once each and leave nothing counted")
    func race() async throws {
        let disposed = ConcurrencyCounter()
        let outcomes = ConcurrencyCounter()
        let many = AbandonedOperations(maxCount: .max)
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
        // An abandoned operation yields a few times and then ends.
        while many.count > 0 { await Task.yield() }
        #expect(many.count == 0)
    }

    @Test("a cap below 1 is rejected")
    func badCap() async {
        await #expect(processExitsWith: .failure) { _ = AbandonedOperations(maxCount: 0) }
    }
}
