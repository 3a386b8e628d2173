internal import ReliabilityCore

/// A call that can be abandoned: coordinates the operation, the timers, and the caller's cancellation.
final class AbandoningCall<Success: Sendable>: Sendable {
    private enum Phase {
        case ready
        case running
        /// The operation was cancelled and may still end within the grace period.
        case cancelled
        /// The caller has returned, and the operation may still run.
        case abandoned
        case ended
    }

    private struct State {
        var phase = Phase.ready
        var continuation: CheckedContinuation<Success, any Error>?
        var task: Task<Void, Never>?
        var timer: TimeSource.Timer?
    }

    private let scope: DeadlineScope
    /// The grace period in nanoseconds.
    private let grace: Int64
    private let abandoned: AbandonedOperations
    /// The places that an abandoned operation keeps.
    private let admission = AdmissionScope.innermost.get()
    private let dispose: @Sendable (Success) async -> Void
    private let state = Lock(State())

    init(
        _ limit: NestedLimit,
        grace: Duration,
        _ abandoned: AbandonedOperations,
        _ dispose: @escaping @Sendable (Success) async -> Void
    ) {
        scope = DeadlineScope(limit)
        self.grace = max(0, grace.saturatingNanoseconds)
        self.abandoned = abandoned
        self.dispose = dispose
    }

    /// Starts the operation concurrently with its caller, and later resumes `continuation` exactly once.
    func start(
        _ continuation: CheckedContinuation<Success, any Error>,
        _ operation: @escaping @Sendable () async throws -> Success
    ) {
        let isCancelled = state.withLock { state in
            guard case .ready = state.phase else { return true }
            state.phase = .running
            state.continuation = continuation
            return false
        }
        if isCancelled {
            let isTooLate = scope.phase.contains(.expired)
            continuation.resume(throwing: isTooLate ? TimeoutError(deadline: scope.deadline) : CancellationError())
            return
        }
        // Not `Task.immediate`: an operation that blocks its thread must not block its caller.
        let task = DeadlineScope.$innermost.withValue(scope) {
            Task(
                name: currentTaskName(),
                executorPreference: scope.timeSource.taskExecutor ?? preferredTaskExecutor()
            ) { @concurrent in
                let result: Result<Success, any Error>
                do { result = .success(try await operation()) } catch { result = .failure(error) }
                self.end(with: result)
            }
        }
        let mustCancel = state.withLock { state in
            switch state.phase {
            case .ready, .running:
                state.task = task
                return false
            case .cancelled, .abandoned: return true
            case .ended: return false
            }
        }
        if mustCancel { task.cancel() }
        armDeadline()
    }

    private func armDeadline() { arm(at: scope.expiry, isGrace: false) { self.deadlineReached() } }

    private func deadlineReached() {
        // The deadline of an enclosing call no longer applies if that call has ended.
        if scope.expiry > scope.timeSource.now { armDeadline() } else { cancel(.expired) }
    }

    /// Cancels the operation because the caller's task was cancelled.
    func callerCancelled() { cancel(scope.causeOfCancellation) }

    /// Cancels the operation and begins the grace period, unless the operation was already cancelled or has ended.
    private func cancel(_ cause: DeadlineScope.Phase) {
        let (wasRunning, task, timer) = state.withLock { state in
            let wasRunning: Bool
            switch state.phase {
            case .ready: wasRunning = false
            case .running: wasRunning = true
            case .cancelled, .abandoned, .ended: return (false, nil as Task<Void, Never>?, nil as TimeSource.Timer?)
            }
            state.phase = .cancelled
            _ = scope.recordCause(cause)
            return (wasRunning, state.task, state.timer.take())
        }
        timer?.cancel()
        guard wasRunning else { return }
        let now = scope.timeSource.now
        let end = (cause == .expired ? scope.expiry : now).saturatingAdd(grace)
        // Armed before the operation is cancelled, because the cancellation handlers of a user may block.
        if end > now { arm(at: end, isGrace: true) { self.abandon() } } else { abandon() }
        guard let task else { return }
        if cause == .expired { scope.timeSource.cancelFromTimer { task.cancel() } } else { task.cancel() }
    }

    /// Arms the timer of a phase, unless the call has already left that phase.
    private func arm(at instant: Int64, isGrace: Bool, _ action: @escaping @Sendable () -> Void) {
        if instant == .max { return }
        let timer = scope.timeSource.timer(at: instant, action)
        let isOver = state.withLock { state in
            switch state.phase {
            case .running where !isGrace, .cancelled where isGrace:
                state.timer = timer
                return false
            default: return true
            }
        }
        if isOver { timer.cancel() }
    }

    /// Resumes the caller at the end of the grace period, while the operation may still run.
    private func abandon() {
        let continuation = state.withLock { state in
            guard case .cancelled = state.phase else { return nil as CheckedContinuation<Success, any Error>? }
            state.phase = .abandoned
            state.task = nil
            state.timer = nil
            // Under the lock, so that the end of the operation finds the operation counted.
            abandoned.add()
            admission?.occupy()
            return state.continuation.take()
        }
        if scope.phase.contains(.expired) {
            continuation?.resume(throwing: TimeoutError(abandonedAt: scope.deadline))
        } else {
            continuation?.resume(throwing: CancellationError())
        }
    }

    /// Ends the call with the operation's result, or disposes of a late value.
    private func end(with result: Result<Success, any Error>) {
        let before = state.withLock { state in
            let before = state
            state = State(phase: .ended)
            return before
        }
        before.timer?.cancel()
        let hasExpired = scope.hasExpired
        scope.add(.hasEnded)
        switch (before.phase, result) {
        case (.abandoned, .success(let late)):
            leaveAbandoned()
            // In a new task without the deadline, because this task is cancelled and its deadline has passed.
            DeadlineScope.$innermost.withValue(nil) {
                _ = startTask(on: scope.timeSource.taskExecutor) { [dispose] in await dispose(late) }
            }
        case (.abandoned, .failure):
            leaveAbandoned()
        case (_, .failure(let error)) where hasExpired:
            before.continuation?.resume(throwing: TimeoutError(deadline: scope.deadline, underlyingError: error))
        default:
            before.continuation?.resume(with: result)
        }
    }

    private func leaveAbandoned() {
        abandoned.remove()
        admission?.vacate()
    }
}
