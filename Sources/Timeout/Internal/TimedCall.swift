internal import ReliabilityCore

/// How a call under a deadline ended.
enum TimedResult<Success> {
    case success(Success)
    case failure(any Error)
    /// The deadline cancelled it, or it was never begun.
    case expired(TimeoutError)

    func get() throws -> Success {
        switch self {
        case .success(let success): return success
        case .failure(let error): throw error
        case .expired(let error): throw error
        }
    }
}

/// Runs an operation in the caller's isolation and cancels it at the deadline; waits for its end in any case.
func run<Success>(
    until deadline: Deadline,
    isolation: isolated (any Actor)? = #isolation,
    _ operation: nonisolated(nonsending) () async throws -> Success
) async -> TimedResult<Success> {
    let deadline = deadline.clampedToAmbient()
    if deadline.isExpired { return .expired(TimeoutError(deadline: deadline, underlyingError: nil)) }
    // The operation runs in a task of its own, for a task is what can be cancelled. It does not escape: this function
    // returns after that task's end, and caller and task take turns in one isolation.
    return await withoutActuallyEscaping(operation) { escaping in
        let call = TimedCall(escaping)
        await call.run(until: deadline, isolation: isolation)
        return call.result(for: deadline)
    }
}

/// One call under a deadline: the meeting point of the operation, the timer and the caller's cancellation.
private final class TimedCall<Success>: @unchecked Sendable {
    // @unchecked Sendable: `state` has its lock. `operation` and `outcome` are used by the operation's task alone until
    // its end, and by the caller alone after.
    private enum Phase {
        case running
        case ended
        case expired
        case callerCancelled

        var isCancelled: Bool { self == .expired || self == .callerCancelled }
    }

    private struct State {
        var phase = Phase.running
        var task: Task<Void, Never>?
    }

    private var operation: (nonisolated(nonsending) () async throws -> Success)?
    private var outcome: Result<Success, any Error>?
    private let state = Lock(State())

    init(_ operation: nonisolated(nonsending) @escaping () async throws -> Success) {
        self.operation = operation
    }

    func run(until deadline: Deadline, isolation: isolated (any Actor)?) async {
        let timer = deadline.timeSource.timer(at: deadline.instant) { self.cancel(.expired) }
        defer { timer.cancel() }
        await withTaskCancellationHandler {
            let task = start(on: deadline.timeSource.taskExecutor, isolation) {
                // What came before `setTask` could not reach the task; its first line is to see it all the same.
                if self.phase.isCancelled { unsafe withUnsafeCurrentTask { unsafe $0?.cancel() } }
                await Deadline.$ambient.withValue(deadline) { await self.runOperation() }
            }
            setTask(task)
            await task.value
        } onCancel: {
            cancel(.callerCancelled)
        }
    }

    func result(for deadline: Deadline) -> TimedResult<Success> {
        switch outcome {
        case .success(let success): .success(success)
        case .failure(let error):
            phase == .expired
                ? .expired(TimeoutError(deadline: deadline, underlyingError: error)) : .failure(error)
        case nil: .failure(CancellationError())
        }
    }

    private var phase: Phase { state.withLock { $0.phase } }

    private func runOperation() async {
        outcome = await takeOutcome()
        state.withLock { if $0.phase == .running { $0.phase = .ended } }
    }

    /// Runs the operation and lets go of it: when the task has ended, nobody holds the closure any more.
    private func takeOutcome() async -> Result<Success, any Error> {
        guard let operation = operation.take() else { return .failure(CancellationError()) }
        do { return .success(try await operation()) } catch { return .failure(error) }
    }

    /// Starts a task in the given isolation.
    ///
    /// Not in place: work that never suspends would run to its end before anybody could name the task to cancel it.
    private func start(
        on executor: (any TaskExecutor)?,
        _ isolation: isolated (any Actor)?,
        _ body: @escaping () async -> Void
    ) -> Task<Void, Never> {
        let body = Transferred(call: body)
        return Task(executorPreference: executor) {
            _ = isolation
            await body.call()
        }
    }

    private func setTask(_ task: Task<Void, Never>) {
        let phase = state.withLock { state in
            state.task = task
            return state.phase
        }
        if phase.isCancelled { task.cancel() }
    }

    /// Cancels the operation, unless it has ended or was cancelled before.
    ///
    /// The first reason stays.
    private func cancel(_ reason: Phase) {
        let task = state.withLock { state -> Task<Void, Never>? in
            guard state.phase == .running else { return nil }
            state.phase = reason
            return state.task
        }
        task?.cancel()
    }

    /// A closure that is handed to a task in the same isolation.
    private struct Transferred: @unchecked Sendable {
        // @unchecked Sendable: it is called once, in the isolation in which it was made.
        let call: () async -> Void
    }
}
