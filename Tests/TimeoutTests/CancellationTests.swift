import ReliabilityCore
import ReliabilityTesting
import Testing
import Timeout

private struct Failure: Error {}

/// A handle to a task for those who get to know it only while it runs.
private final class TaskReference: Sendable {
    private let task = Lock<Task<Void, Never>?>(nil)

    func set(_ task: Task<Void, Never>) {
        self.task.withLock { $0 = task }
    }

    func cancel() { task.withLock { $0 }?.cancel() }
}

/// Suspends until it is resumed or cancelled.
private func hang(until gate: ManualClock = ManualClock()) async throws { try await gate.sleep(for: .seconds(1)) }

/// Runs each job on a thread of its own: a task that suspends while its cancellation handler runs blocks its thread.
private final class ThreadExecutor: TaskExecutor {
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let hasStarted = tryToStartThread { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        precondition(hasStarted, "no thread")
    }
}

@Suite("A call under a deadline and those who cancel it")
struct TimedCallCancellationTests {
    let clock = ManualClock()

    @Test("a cancellation handler that blocks holds up no timer")
    func blockingHandler() async {
        let gate = Gate()
        await #expect(throws: TimeoutError.self) {
            try await withTimeout(.seconds(300)) { deadline in
                try await withTaskCancellationHandler {
                    // Not before the handler is there: it would run on one of the few threads that tasks share.
                    deadline.move(to: .milliseconds(1))
                    try await hang()
                } onCancel: {
                    // Never, if this holds the thread of the timers.
                    _ = TimeSource.continuous.timer(at: TimeSource.continuous.now + 1_000_000) { gate.open() }
                    gate.pass()
                }
            }
        }
    }

    @Test("cancellation handlers that block, however many, delay no other call's limit", .timeLimit(.minutes(10)))
    func manyBlockingHandlers() async {
        let gates = (0..<100).map { _ in Gate() }
        let waiting = EventRecorder<CheckedContinuation<Void, Never>>()
        let blocked = EventRecorder<Void>()
        let threads = ThreadExecutor()
        await withTaskGroup { group in
            for gate in gates {
                group.addTask(executorPreference: threads) {
                    try? await withTimeout(.seconds(300)) { deadline in
                        await withTaskCancellationHandler {
                            deadline.move(to: .zero)
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

    @Test("the operation's own cancellation handlers run once, whoever cancels after the first")
    func once() async {
        let handled = Counter()
        let gate = ManualClock()
        let task = Task {
            try await withTimeout(.seconds(5), clock: clock) {
                await withTaskCancellationHandler {
                    await Task { try? await hang(until: gate) }.value
                } onCancel: {
                    handled.increment()
                }
                throw Failure()
            }
        }
        await gate.waitForSleepers(1)
        clock.advance(by: .seconds(5))
        task.cancel()
        gate.advance(by: .seconds(1))
        let error = await #expect(throws: TimeoutError.self) { try await task.value }
        #expect(error?.underlyingError is Failure)
        #expect(handled.value == 1)
    }

    @Test("of the caller and the deadline, the first cause stays")
    func firstCause() async {
        let gate = ManualClock()
        let task = Task {
            try await withTimeout(.seconds(5), clock: clock) {
                await Task { try? await hang(until: gate) }.value
                throw Failure()
            }
        }
        await gate.waitForSleepers(1)
        task.cancel()
        clock.advance(by: .seconds(5))
        gate.advance(by: .seconds(1))
        await #expect(throws: Failure.self) { try await task.value }
    }

    @Test("a handler that cancels the caller does not make a timeout the caller's cancellation")
    func handlerCancelsCaller() async {
        let caller = TaskReference()
        let started = ManualClock()
        let timeouts = Counter()
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

    @Test("an operation may cancel its caller while it has not suspended, and sees that at once")
    func operationCancelsCaller() async throws {
        let caller = TaskReference()
        let started = ManualClock()
        let seen = Counter()
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

    @Test("an operation that ends in the middle of being cancelled waits for that, and its result stands")
    func endsWhileCancelled() async throws {
        // The handler ends the operation and returns only when the operation is past its last line.
        let ended = Counter()
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

    @Test("INV-33: the timer is gone after a return, an error, a cancellation and an expiry")
    func timers() async {
        _ = try? await withTimeout(.seconds(300), clock: clock) { 1 }
        #expect(clock.sleeperCount == 0)
        _ = try? await withTimeout(.seconds(300), clock: clock) { await Task.yield() }
        #expect(clock.sleeperCount == 0)
        try? await withTimeout(.seconds(300), clock: clock) { throw Failure() }
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

    @Test("INV-33: what an operation captured is freed with the call, though its limit is far away")
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

    @Test("a call inside of a task group's body keeps its deadline from the group's tasks")
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

@Suite("Tens of thousands of calls that end, expire and are cancelled at the same time")
struct TimedCallStressTests {
    /// What an operation of the stress does.
    private enum Kind: Int, CaseIterable {
        case returns, throwsError, yields, hangs, polls, nests
    }

    private static func operation(_ kind: Kind, _ random: UInt64) async throws {
        switch kind {
        case .returns: return
        case .throwsError: throw Failure()
        case .yields: for _ in 0..<(random % 4) { await Task.yield() }
        case .hangs: try await ManualClock().sleep(for: .seconds(1))
        case .polls: while !Task.isCancelled {}
        case .nests:
            try await withTimeout(.nanoseconds(Int64(random % 60_000) + 1)) {
                try await ManualClock().sleep(for: .seconds(1))
            }
        }
    }

    @Test("every call ends, with an end that fits", arguments: [UInt64(1), 2, 3])
    func races(seed: UInt64) async {
        let before = DeadlineScheduler.shared.pendingCount
        let ends = Counter()
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
                        case (.hangs, .success): Issue.record("what hangs cannot return (seed \(seed))")
                        case (.returns, .failure(let error)) where !(error is TimeoutError):
                            Issue.record("what returns cannot throw \(error) (seed \(seed))")
                        default: break
                        }
                        if !isCancelled, case .failure(let error) = result, error is CancellationError {
                            Issue.record("nobody cancelled, and \(kind) threw \(error) (seed \(seed))")
                        }
                    }
                }
            }
        }
        #expect(ends.value == calls)
        // Other tests run meanwhile.
        #expect(DeadlineScheduler.shared.pendingCount <= before + 64)
    }

    @Test("a deadline and an end that meet by design: nothing is lost and nothing is cancelled twice")
    func meets() async {
        let handled = Counter()
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
