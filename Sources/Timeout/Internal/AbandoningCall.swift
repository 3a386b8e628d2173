internal import ReliabilityCore

/// One call that its caller may walk away from: where the operation, the timers and the caller's cancellation meet.
final class AbandoningCall<Success: Sendable>: Sendable {
    private enum Phase {
        case ready
        case running
        /// It was cancelled and may still end in time.
        case cancelled
        /// Its caller has left.
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
    /// Nanoseconds.
    private let grace: Int64
    private let abandoned: AbandonedOperations
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

    /// Starts the operation beside its caller, which `continuation` resumes exactly once.
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
        // Not in place: work that blocks its thread must not hold its caller.
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
        // The deadline may have been that of an enclosing call, which has ended meanwhile.
        if scope.expiry > scope.timeSource.now { armDeadline() } else { cancel(.expired) }
    }

    /// The caller's task was cancelled.
    func callerCancelled() { cancel(scope.causeOfCancellation) }

    /// Cancels the operation, unless it was cancelled before or is over, and begins the grace.
    private func cancel(_ cause: DeadlineScope.Phase) {
        let (wasRunning, task, timer) = state.withLock { state in
            let wasRunning: Bool
            switch state.phase {
            case .ready: wasRunning = false
            case .running: wasRunning = true
            case .cancelled, .abandoned, .ended: return (false, nil as Task<Void, Never>?, nil as TimeSource.Timer?)
            }
            state.phase = .cancelled
            _ = scope.claim(cause)
            return (wasRunning, state.task, state.timer.take())
        }
        timer?.cancel()
        guard wasRunning else { return }
        let now = scope.timeSource.now
        let end = (cause == .expired ? scope.expiry : now).saturatingAdd(grace)
        // Before the operation is cancelled: its handlers are the user's, and may block.
        if end > now { arm(at: end, isGrace: true) { self.walkAway() } } else { walkAway() }
        guard let task else { return }
        if cause == .expired { scope.timeSource.cancelFromTimer { task.cancel() } } else { task.cancel() }
    }

    /// Arms the timer of a phase, unless the call is in another by now.
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

    /// The grace is over: the caller leaves.
    private func walkAway() {
        let continuation = state.withLock { state in
            guard case .cancelled = state.phase else { return nil as CheckedContinuation<Success, any Error>? }
            state.phase = .abandoned
            state.task = nil
            state.timer = nil
            // With the phase: the operation's end must find itself counted.
            abandoned.add()
            return state.continuation.take()
        }
        if scope.phase.contains(.expired) {
            continuation?.resume(throwing: TimeoutError(abandonedAt: scope.deadline))
        } else {
            continuation?.resume(throwing: CancellationError())
        }
    }

    /// The operation has ended.
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
            abandoned.remove()
            // In a task of its own, for this one is cancelled; and the deadline that was missed is not the disposal's.
            DeadlineScope.$innermost.withValue(nil) {
                _ = startTask(on: scope.timeSource.taskExecutor) { [dispose] in await dispose(late) }
            }
        case (.abandoned, .failure):
            abandoned.remove()
        case (_, .failure(let error)) where hasExpired:
            before.continuation?.resume(throwing: TimeoutError(deadline: scope.deadline, underlyingError: error))
        default:
            before.continuation?.resume(with: result)
        }
    }
}
