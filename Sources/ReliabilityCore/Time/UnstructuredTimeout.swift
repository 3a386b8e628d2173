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
    let race = Race(timeSource)
    let success = ResultBox<Success>()
    let isFinished = await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
            race.begin(continuation)
            let task = startTask(on: timeSource.taskExecutor) {
                // Otherwise the operation would run without cancellation up to its first suspension, which can include
                // a write.
                if race.isCancelled { unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() } }
                success.value = await operation()
                race.finish()
            }
            if race.attach(task) { timeSource.arm(race, at: timeSource.instant(after: limit)) }
            // The operation may have ended before the timer was armed.
            if race.isResolved { timeSource.cancel(race) }
        }
    } onCancel: {
        race.cancelOperation()
    }
    // The lock of `isResolved` orders the accesses to the value for the thread sanitizer.
    return isFinished && race.isResolved ? success.value : nil
}

/// The result of an operation that may be abandoned.
private final class ResultBox<Success: Sendable>: @unchecked Sendable {
    // @unchecked Sendable: the operation writes before the race is finished. The caller reads afterwards, and only if
    // the operation came first.
    var value: Success?
}

/// The race of an operation with its time limit, which is the timer.
// The type is not generic, because metadata of generic types would be looked up at every use.
private final class Race: TimerEntry, @unchecked Sendable {
    // @unchecked Sendable: the properties of this class do not change or are protected by a lock.
    private struct State {
        /// The end of the race: `true` if the operation came first.
        var rendezvous = Rendezvous<Bool>()
        var task: Task<Void, Never>?
        var isCancelled = false
    }
    private let state = Lock(State())
    private let timeSource: TimeSource

    init(_ timeSource: TimeSource) {
        self.timeSource = timeSource
        super.init()
    }

    var isResolved: Bool { state.withLock { $0.rendezvous.isResolved } }
    var isCancelled: Bool { state.withLock { $0.isCancelled } }

    func begin(_ continuation: CheckedContinuation<Bool, Never>) {
        state.withLock { $0.rendezvous.wait(continuation) }?.resume()
    }

    /// Stores the task of the operation.
    ///
    /// - Returns: `true` if the operation has not ended.
    func attach(_ task: Task<Void, Never>) -> Bool {
        let (isResolved, isCancelled) = state.withLock { state in
            if !state.rendezvous.isResolved { state.task = task }
            return (state.rendezvous.isResolved, state.isCancelled)
        }
        if isCancelled { task.cancel() }
        return !isResolved
    }

    /// Resumes the caller with the result of the operation.
    func finish() {
        let (resumption, task) = resolve(true)
        // The task releases itself outside of the lock.
        withExtendedLifetime(task) {}
        timeSource.cancel(self)
        resumption?.resume()
    }

    /// Resumes the caller without a result, and cancels the operation.
    override func fire() {
        let (resumption, task) = resolve(false)
        resumption?.resume()
        if let task { timeSource.cancelFromTimer { task.cancel() } }
    }

    private func resolve(_ isFinished: Bool) -> (Rendezvous<Bool>.Resumption?, Task<Void, Never>?) {
        state.withLock { ($0.rendezvous.resolve(isFinished), $0.task.take()) }
    }

    func cancelOperation() {
        let task = state.withLock { state in
            state.isCancelled = true
            return state.task
        }
        task?.cancel()
    }
}
