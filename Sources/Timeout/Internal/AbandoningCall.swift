internal import ReliabilityCore

/// One call that its caller may walk away from: where the operation, the timers and the caller's cancellation meet.
final class AbandoningCall<Success: Sendable>: Sendable {
    enum Cause {
        case expired
        case callerCancelled
    }

    private enum Phase {
        case ready
        case running
        /// It was cancelled and may still end in time.
        case cancelled(Cause)
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

    private let deadline: Deadline
    /// Nanoseconds.
    private let grace: Int64
    private let abandoned: AbandonedOperations
    private let dispose: @Sendable (Success) async -> Void
    private let state = Lock(State())

    init(
        _ deadline: Deadline,
        grace: Duration,
        _ abandoned: AbandonedOperations,
        _ dispose: @escaping @Sendable (Success) async -> Void
    ) {
        self.deadline = deadline
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
            continuation.resume(throwing: CancellationError())
            return
        }
        // Not in place: work that blocks its thread must not hold its caller.
        let task = Deadline.$ambient.withValue(deadline) {
            Task(executorPreference: deadline.timeSource.taskExecutor) { @concurrent in
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
        arm(at: deadline.instant, isGrace: false) { self.cancel(.expired) }
    }

    /// Cancels the operation, unless it was cancelled before or is over, and begins the grace.
    func cancel(_ cause: Cause) {
        let (wasRunning, task, timer) = state.withLock { state in
            let wasRunning: Bool
            switch state.phase {
            case .ready: wasRunning = false
            case .running: wasRunning = true
            case .cancelled, .abandoned, .ended: return (false, nil as Task<Void, Never>?, nil as TimeSource.Timer?)
            }
            state.phase = .cancelled(cause)
            return (wasRunning, state.task, state.timer.take())
        }
        timer?.cancel()
        guard wasRunning else { return }
        let now = deadline.timeSource.now
        let end = (cause == .expired ? deadline.instant : now).saturatingAdd(grace)
        // Before the operation is cancelled: its handlers are the user's, and may block.
        if end > now { arm(at: end, isGrace: true) { self.walkAway() } } else { walkAway() }
        guard let task else { return }
        switch cause {
        case .expired: deadline.timeSource.cancelFromTimer { task.cancel() }
        case .callerCancelled: task.cancel()
        }
    }

    /// Arms the timer of a phase, unless the call is in another by now.
    private func arm(at instant: Int64, isGrace: Bool, _ action: @escaping @Sendable () -> Void) {
        if instant == .max { return }
        let timer = deadline.timeSource.timer(at: instant, action)
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
        let (cause, continuation) = state.withLock { state in
            guard case .cancelled(let cause) = state.phase else {
                return (nil as Cause?, nil as CheckedContinuation<Success, any Error>?)
            }
            state.phase = .abandoned
            state.task = nil
            state.timer = nil
            // With the phase: the operation's end must find itself counted.
            abandoned.add()
            return (cause, state.continuation.take())
        }
        switch cause {
        case .expired: continuation?.resume(throwing: TimeoutError(abandonedAt: deadline))
        case .callerCancelled: continuation?.resume(throwing: CancellationError())
        case nil: break
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
        switch (before.phase, result) {
        case (.abandoned, .success(let late)):
            abandoned.remove()
            // In a task of its own, for this one is cancelled; and the deadline that was missed is not the disposal's.
            Deadline.$ambient.withValue(nil) {
                _ = startTask(on: deadline.timeSource.taskExecutor) { [dispose] in await dispose(late) }
            }
        case (.abandoned, .failure):
            abandoned.remove()
        case (.cancelled(.expired), .failure(let error)):
            before.continuation?.resume(throwing: TimeoutError(deadline: deadline, underlyingError: error))
        default:
            before.continuation?.resume(with: result)
        }
    }
}
