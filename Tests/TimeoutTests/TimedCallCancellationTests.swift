import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing
import Timeout

/// A handle to a task that is set after the start of the task.
private final class TaskReference: Sendable {
    private let task = Lock<Task<Void, Never>?>(nil)

    func set(_ task: Task<Void, Never>) {
        self.task.withLock { $0 = task }
    }

    func cancel() { task.withLock { $0 }?.cancel() }
}

/// Suspends until the gate is advanced or the task is cancelled.
private func hang(until gate: ManualClock) async throws { try await gate.sleep(for: .seconds(1)) }

/// Runs each job on its own thread.
///
/// A task that suspends while its cancellation handler runs blocks its thread.
private final class ThreadExecutor: TaskExecutor {
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let hasStarted = tryToStartThread { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        precondition(hasStarted, "no thread")
    }
}

@Suite("TimedCall: cancellation")
struct TimedCallCancellationTests {
    let clock = ManualClock()

    @Test("a blocked cancellation handler delays no timer")
    func blockingHandler() async {
        let gate = ThreadGate()
        await #expect(throws: TimeoutError.self) {
            try await withTimeout(.seconds(300)) { deadline in
                try await withTaskCancellationHandler {
                    // Not earlier: a handler that is not installed yet would run on a thread of the shared pool.
                    deadline.reset(after: .milliseconds(1))
                    try await hang()
                } onCancel: {
                    // This timer never fires if the handler blocks the timer thread.
                    _ = TimeSource.continuous.timer(at: TimeSource.continuous.now + 1_000_000) { gate.open() }
                    gate.pass()
                }
            }
        }
    }

    @Test("a hundred blocked cancellation handlers delay no other call's limit", .timeLimit(.minutes(30)))
    func manyBlockingHandlers() async {
        let gates = (0..<100).map { _ in ThreadGate() }
        let waiting = EventRecorder<CheckedContinuation<Void, Never>>()
        let blocked = EventRecorder<Void>()
        let threads = ThreadExecutor()
        await withTaskGroup { group in
            for gate in gates {
                group.addTask(executorPreference: threads) {
                    try? await withTimeout(.seconds(300)) { deadline in
                        await withTaskCancellationHandler {
                            deadline.reset(after: .zero)
                            await withCheckedContinuation { waiting.record($0) }
                        } onCancel: {
                            blocked.record(())
                            gate.pass()
                        }
                    }
                }
            }
            await blocked.wait(for: 100)
            await #expect(throws: TimeoutError.self) { try await withTimeout(.milliseconds(1)) { try await hang() } }
            for gate in gates { gate.open() }
            for continuation in await waiting.wait(for: 100) { continuation.resume() }
        }
    }

    @Test("the operation's cancellation handler runs once for two causes of a cancellation")
    func once() async {
        let handled = ConcurrencyCounter()
        let gate = ManualClock()
        let task = Task {
            try await withTimeout(.seconds(5), clock: clock) {
                await withTaskCancellationHandler {
                    await Task { try? await hang(until: gate) }.value
                } onCancel: {
                    handled.increment()
                }
                throw TestError()
            }
        }
        await gate.waitForSleepers(1)
        clock.advance(by: .seconds(5))
        task.cancel()
        gate.advance(by: .seconds(1))
        let error = await #expect(throws: TimeoutError.self) { try await task.value }
        #expect(error?.underlyingError is TestError)
        #expect(handled.value == 1)
    }

    @Test("a call that its caller cancels before the deadline throws its own error after the deadline")
    func firstCause() async {
        let gate = ManualClock()
        let task = Task {
            try await withTimeout(.seconds(5), clock: clock) {
                await Task { try? await hang(until: gate) }.value
                throw TestError()
            }
        }
        await gate.waitForSleepers(1)
        task.cancel()
        clock.advance(by: .seconds(5))
        gate.advance(by: .seconds(1))
        await #expect(throws: TestError.self) { try await task.value }
    }

    @Test("a call that expires throws TimeoutError, even if a cancellation handler cancels the caller")
    func handlerCancelsCaller() async {
        let caller = TaskReference()
        let started = ManualClock()
        let timeouts = ConcurrencyCounter()
        let task = Task {
            try? await hang(until: started)
            do {
                try await withTimeout(.seconds(5), clock: clock) {
                    try await withTaskCancellationHandler {
                        try await hang()
                    } onCancel: {
                        caller.cancel()
                    }
                }
            } catch {
                if error is TimeoutError { timeouts.increment() }
            }
        }
        caller.set(task)
        await started.advanceToNextSleeper()
        await clock.advanceToNextSleeper()
        await task.value
        #expect(timeouts.value == 1)
    }

    @Test("an operation that cancels its caller sees the cancellation immediately")
    func operationCancelsCaller() async throws {
        let caller = TaskReference()
        let started = ManualClock()
        let seen = ConcurrencyCounter()
        let task = Task {
            try? await hang(until: started)
            try? await withTimeout(.seconds(5), clock: clock) {
                caller.cancel()
                if Task.isCancelled { seen.increment() }
            }
        }
        caller.set(task)
        await started.advanceToNextSleeper()
        await task.value
        #expect(seen.value == 1)
    }

    @Test("an operation that ends during its cancellation returns its value")
    func endsWhileCancelled() async throws {
        let ended = ConcurrencyCounter()
        let gate = ManualClock()
        let task = Task {
            try await withTimeout(.seconds(5), clock: clock) {
                await Task { try? await hang(until: gate) }.value
                ended.increment()
                return "value"
            }
        }
        await gate.waitForSleepers(1)
        await withTaskGroup { group in
            group.addTask { clock.advance(by: .seconds(5)) }
            group.addTask { gate.advance(by: .seconds(1)) }
        }
        #expect(try await task.value == "value")
        #expect(ended.value == 1)
    }

    @Test("no timer is left after a return, an error, a cancellation or an expiry")
    func timers() async {
        _ = try? await withTimeout(.seconds(300), clock: clock) { 1 }
        #expect(clock.sleeperCount == 0)
        _ = try? await withTimeout(.seconds(300), clock: clock) { await Task.yield() }
        #expect(clock.sleeperCount == 0)
        try? await withTimeout(.seconds(300), clock: clock) { throw TestError() }
        #expect(clock.sleeperCount == 0)
        try? await withTimeout(.seconds(1), clock: clock) {
            clock.advance(by: .seconds(1))
            try await hang()
        }
        #expect(clock.sleeperCount == 0)
        try? await withTimeout(.zero, clock: clock) { try await hang() }
        #expect(clock.sleeperCount == 0)
        let task = Task { try await withTimeout(.seconds(300), clock: clock) { try await hang() } }
        await clock.waitForSleepers(1)
        task.cancel()
        _ = await task.result
        #expect(clock.sleeperCount == 0)
    }

    @Test("the captures of an operation are released at the end of the call")
    func captured() async throws {
        final class Box: Sendable {}
        weak var weakBox: Box?
        do {
            let box = Box()
            weakBox = box
            try await withTimeout(.seconds(300)) {
                await Task.yield()
                withExtendedLifetime(box) {}
            }
        }
        #expect(weakBox == nil)
    }

    @Test("a call in the body of a task group does not pass its deadline to the group's tasks")
    func insideGroup() async throws {
        try await withThrowingTaskGroup { group in
            try await withTimeout(.seconds(5), clock: clock) {
                #expect(Deadline.current?.remaining == .seconds(5))
            }
            group.addTask { Deadline.current?.remaining }
            #expect(try await group.next() == .some(nil))
        }
    }
}

@Suite("TimedCall: stress")
struct TimedCallStressTests {
    /// The behavior of a random operation.
    private enum Kind: Int, CaseIterable {
        case returns, throwsError, yields, hangs, polls, nests
    }

    private static func operation(_ kind: Kind, _ random: UInt64) async throws {
        switch kind {
        case .returns: return
        case .throwsError: throw TestError()
        case .yields: for _ in 0..<(random % 4) { await Task.yield() }
        case .hangs: try await hang()
        case .polls: while !Task.isCancelled {}
        case .nests:
            try await withTimeout(.nanoseconds(Int64(random % 60_000) + 1)) { try await hang() }
        }
    }

    @Test("each of 10,000 random calls ends with a result that its operation can have", arguments: [UInt64(1), 2, 3])
    func races(seed: UInt64) async {
        let before = DeadlineScheduler.shared.pendingCount
        let ends = ConcurrencyCounter()
        let calls = 10_000
        await withTaskGroup { group in
            for worker in 0..<4 {
                group.addTask {
                    var random = SeededGenerator(seed: seed &* 31 &+ UInt64(worker))
                    for _ in 0..<(calls / 4) {
                        let kind = Kind(rawValue: Int(random.next() % 6)) ?? .returns
                        let limit = Duration.nanoseconds(Int64(random.next() % 50_000) + 1)
                        let detail = random.next()
                        let isCancelled = random.next() % 3 == 0
                        let task = Task {
                            try await withTimeout(limit) { try await Self.operation(kind, detail) }
                        }
                        if isCancelled { task.cancel() }
                        let result = await task.result
                        ends.increment()
                        switch (kind, result) {
                        case (.hangs, .success): Issue.record("an operation that hangs returned (seed \(seed))")
                        case (.returns, .failure(let error)) where !(error is TimeoutError):
                            Issue.record("an operation that returns threw \(error) (seed \(seed))")
                        default: break
                        }
                        if !isCancelled, case .failure(let error) = result, error is CancellationError {
                            Issue.record("\(kind) threw \(error) without a cancellation (seed \(seed))")
                        }
                    }
                }
            }
        }
        #expect(ends.value == calls)
        // Other tests run meanwhile.
        #expect(DeadlineScheduler.shared.pendingCount <= before + 64)
    }

    @Test("a call that ends, expires and is cancelled simultaneously runs its cancellation handler at most once")
    func meets() async {
        let handled = ConcurrencyCounter()
        var ended = 0
        for _ in 0..<5_000 {
            let clock = ManualClock()
            let gate = ManualClock()
            let task = Task {
                try await withTimeout(.seconds(1), clock: clock) {
                    try await withTaskCancellationHandler {
                        try await gate.sleep(for: .seconds(1))
                    } onCancel: {
                        handled.increment()
                        gate.advance(by: .seconds(1))
                    }
                }
            }
            await gate.waitForSleepers(1)
            async let expiry: Void = Task { clock.advance(by: .seconds(1)) }.value
            async let end: Void = Task { gate.advance(by: .seconds(1)) }.value
            async let cancellation: Void = Task { task.cancel() }.value
            _ = await (expiry, end, cancellation)
            _ = await task.result
            ended += 1
        }
        #expect(ended == 5_000)
        #expect(handled.value <= 5_000)
    }
}
