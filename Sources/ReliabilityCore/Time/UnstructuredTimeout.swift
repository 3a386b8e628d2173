/// Runs an operation and abandons the operation at a time limit.
///
/// At the limit the operation is cancelled and its result is discarded. The caller returns even if the operation
/// ignores cancellation. If the caller is cancelled, the operation is cancelled and its result is still awaited. The
/// operation starts in place. An operation that blocks its thread before the first suspension also blocks the caller.
///
/// The function is for calls to a store, whose arguments are values.
///
/// - Parameters:
///   - limit: The time limit.
///   - timeSource: The clock.
///   - operation: The operation.
/// - Returns: The operation's result, or `nil` if the limit came first.
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
                // Otherwise the operation would run without cancellation up to its first suspension, which can include
                // a write.
                if race.isCancelled { unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() } }
                let success = await operation()
                race.finish(with: success)
            }
            if race.isFinished { return }
            let timer = timeSource.timer(at: timeSource.instant(after: limit)) {
                guard let task = race.abandon() else { return }
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
        var rendezvous = Rendezvous<Success?>()
        var task: Task<Void, Never>?
        var timer: TimeSource.Timer?
        var isCancelled = false
    }
    private let state = Lock(State())

    var isFinished: Bool { state.withLock { $0.rendezvous.isResolved } }
    var isCancelled: Bool { state.withLock { $0.isCancelled } }

    func begin(_ continuation: CheckedContinuation<Success?, Never>) {
        state.withLock { $0.rendezvous.wait(continuation) }?.resume()
    }

    func set(_ task: Task<Void, Never>, _ timer: TimeSource.Timer) {
        let (isFinished, isCancelled) = state.withLock { state in
            if !state.rendezvous.isResolved {
                state.task = task
                state.timer = timer
            }
            return (state.rendezvous.isResolved, state.isCancelled)
        }
        if isFinished { timer.cancel() }
        if isFinished || isCancelled { task.cancel() }
    }

    func finish(with success: Success) {
        let (resumption, timer, task) = resolve(success)
        // The task releases itself outside of the lock.
        withExtendedLifetime(task) {}
        timer?.cancel()
        resumption?.resume()
    }

    /// Resumes the caller without a result.
    ///
    /// - Returns: The task of the operation, which the caller of this method must cancel.
    func abandon() -> Task<Void, Never>? {
        let (resumption, _, task) = resolve(nil)
        resumption?.resume()
        return task
    }

    private func resolve(
        _ success: Success?
    ) -> (Rendezvous<Success?>.Resumption?, TimeSource.Timer?, Task<Void, Never>?) {
        state.withLock { ($0.rendezvous.resolve(success), $0.timer.take(), $0.task.take()) }
    }

    func cancelOperation() {
        let task = state.withLock { state in
            state.isCancelled = true
            return state.task
        }
        task?.cancel()
    }
}
