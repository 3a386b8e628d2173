/// What runs entries at their instants.
package protocol TimerQueue: AnyObject, Sendable {
    /// Arms an entry; one that is armed already is moved.
    ///
    /// It may run before this returns, so no lock that it takes may be held.
    func arm(_ entry: DeadlineScheduler.Entry, at instant: Int64)

    /// Removes an entry.
    ///
    /// - Returns: Whether the entry was armed; then it does not run.
    @discardableResult
    func cancel(_ entry: DeadlineScheduler.Entry) -> Bool

    /// Suspends until the instant.
    ///
    /// - Throws: `CancellationError`, at once, when the task is cancelled.
    func sleep(until instant: Int64) async throws
}

extension TimerQueue {
    /// Arms an action.
    package func schedule(at instant: Int64, _ action: @escaping @Sendable () -> Void) -> DeadlineScheduler.Entry {
        let entry = ActionEntry(action)
        arm(entry, at: instant)
        return entry
    }

    /// Suspends until the instant.
    ///
    /// - Throws: `CancellationError`, at once, when the task is cancelled.
    package func sleep(until instant: Int64) async throws { try await sleep(until: instant, onWake: nil) }

    /// Suspends until the instant.
    ///
    /// - Parameters:
    ///   - instant: When to wake.
    ///   - onWake: Runs before the task is resumed, where it is resumed from.
    /// - Throws: `CancellationError`, at once, when the task is cancelled.
    package func sleep(until instant: Int64, onWake: (@Sendable () -> Void)?) async throws {
        let sleeper = Sleeper(onWake)
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                guard sleeper.start(continuation) else {
                    continuation.resume(throwing: CancellationError())
                    return
                }
                let entry = schedule(at: instant) { sleeper.finish(cancelled: false) }
                if sleeper.setEntry(entry) { cancel(entry) }
            }
        } onCancel: {
            if let entry = sleeper.finish(cancelled: true) { cancel(entry) }
        }
    }
}

/// A clock on which timers need no task of their own.
package protocol TimerClock: Clock<Duration>, TimerQueue {
    /// What unstructured tasks run on whose work the clock times; nil for the usual.
    ///
    /// Such a task does not inherit its creator's preferred executor. A simulation, which runs everything on one thread,
    /// hands its executor to those who start such tasks with the clock that they have in any case.
    var taskExecutor: (any TaskExecutor)? { get }

    /// The present reading, in nanoseconds of what ``TimerQueue/arm(_:at:)`` takes.
    var reading: Int64 { get }
}

/// The meeting point of a sleeping task, its timer and its cancellation: whoever comes first resumes it.
final class Sleeper: Sendable {
    private struct State {
        var continuation: CheckedContinuation<Void, any Error>?
        var entry: DeadlineScheduler.Entry?
        var isFinished = false
    }
    private let state = Lock(State())
    private let onWake: (@Sendable () -> Void)?

    init(_ onWake: (@Sendable () -> Void)? = nil) { self.onWake = onWake }

    /// False when the sleep was cancelled before it began.
    func start(_ continuation: CheckedContinuation<Void, any Error>) -> Bool {
        state.withLock { state in
            if state.isFinished { return false }
            state.continuation = continuation
            return true
        }
    }

    /// True when the sleep is over and the entry is to be cancelled.
    func setEntry(_ entry: DeadlineScheduler.Entry) -> Bool {
        state.withLock { state in
            if state.isFinished { return true }
            state.entry = entry
            return false
        }
    }

    @discardableResult
    func finish(cancelled: Bool) -> DeadlineScheduler.Entry? {
        let (continuation, entry) = state.withLock { state in
            state.isFinished = true
            defer {
                state.continuation = nil
                state.entry = nil
            }
            return (state.continuation, state.entry)
        }
        if continuation != nil { onWake?() }
        if cancelled { continuation?.resume(throwing: CancellationError()) } else { continuation?.resume() }
        return entry
    }
}
