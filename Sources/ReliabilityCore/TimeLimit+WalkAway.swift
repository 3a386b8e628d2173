/// The task executor that the current task prefers, or `nil` if it has no preference.
///
/// An unstructured task does not inherit the preference of the task that starts it. Before Swift 6.3 nothing tells it.
package func preferredTaskExecutor() -> (any TaskExecutor)? {
    #if compiler(>=6.3)
    if #available(macOS 26.4, iOS 26.4, tvOS 26.4, watchOS 26.4, visionOS 26.4, *) {
        return unsafe withUnsafeCurrentTask { unsafe $0?.unownedTaskExecutor?.asTaskExecutor() }
    }
    #endif
    return nil
}

/// The name of the current task, or `nil` if it has none, or the system is older than task names.
package func currentTaskName() -> String? {
    if #available(macOS 26, iOS 26, tvOS 26, watchOS 26, visionOS 26, *) { Task.name } else { nil }
}

/// Starts a task in place where the system can (Linux, and Apple's systems from 26), else in the usual way.
package func startTask<Success: Sendable>(
    on executor: (any TaskExecutor)? = nil,
    _ operation: @escaping @Sendable () async -> Success
) -> Task<Success, Never> {
    if #available(macOS 26, iOS 26, tvOS 26, watchOS 26, visionOS 26, *) {
        Task.immediate(executorPreference: executor) { @concurrent in await operation() }
    } else {
        Task(executorPreference: executor) { @concurrent in await operation() }
    }
}

/// Waits for `operation` until the limit and then walks away from it: it is cancelled, and its result is discarded.
///
/// For calls to a store, whose arguments are all values: a dead server must not hold its caller, even where the driver
/// ignores cancellation. When the caller is cancelled, the operation is, and its answer is still awaited. It starts in
/// place: one that blocks its thread before it first suspends holds its caller, as any call that blocks does.
///
/// - Returns: The operation's result, or nil when the limit came first.
nonisolated(nonsending) package func withinLimit<Success: Sendable>(
    _ limit: Duration,
    timeSource: TimeSource,
    operation: @escaping @Sendable () async -> Success
) async -> Success? {
    let race = Race<Success>()
    return await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
            race.begin(continuation)
            let task = startTask(on: timeSource.taskExecutor) {
                // It would otherwise run uncancelled up to its first suspension: far enough for a write.
                if race.isCancelled { unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() } }
                let success = await operation()
                race.finish(with: success)
            }
            if race.isFinished { return }
            let timer = timeSource.timer(at: timeSource.instant(after: limit)) {
                guard let task = race.walkAway() else { return }
                timeSource.cancelFromTimer { task.cancel() }
            }
            race.set(task, timer)
        }
    } onCancel: {
        race.cancelOperation()
    }
}

private final class Race<Success: Sendable>: Sendable {
    private struct State {
        var continuation: CheckedContinuation<Success?, Never>?
        var task: Task<Void, Never>?
        var timer: TimeSource.Timer?
        var isFinished = false
        var isCancelled = false
    }
    private let state = Lock(State())

    var isFinished: Bool { state.withLock { $0.isFinished } }
    var isCancelled: Bool { state.withLock { $0.isCancelled } }

    func begin(_ continuation: CheckedContinuation<Success?, Never>) {
        state.withLock { $0.continuation = continuation }
    }

    func set(_ task: Task<Void, Never>, _ timer: TimeSource.Timer) {
        let (isFinished, isCancelled) = state.withLock { state in
            if !state.isFinished {
                state.task = task
                state.timer = timer
            }
            return (state.isFinished, state.isCancelled)
        }
        if isFinished { timer.cancel() }
        if isFinished || isCancelled { task.cancel() }
    }

    func finish(with success: Success?) {
        let before = end()
        if before.isFinished { return }
        before.timer?.cancel()
        before.continuation?.resume(returning: success)
    }

    /// Lets the caller go without a result.
    ///
    /// - Returns: The operation, which is to be cancelled.
    func walkAway() -> Task<Void, Never>? {
        let before = end()
        before.continuation?.resume(returning: nil)
        return before.task
    }

    private func end() -> State {
        state.withLock { state in
            let before = state
            state = State(isFinished: true, isCancelled: before.isCancelled)
            return before
        }
    }

    func cancelOperation() {
        let task = state.withLock { state in
            state.isCancelled = true
            return state.task
        }
        task?.cancel()
    }
}
