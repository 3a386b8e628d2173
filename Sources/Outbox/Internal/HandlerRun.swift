internal import ReliabilityCore

/// A handler that runs in a task of its own, and from which its relay can walk away.
final class HandlerRun: Sendable {
    /// The handler's result, or `nil` if the relay walked away from it.
    typealias End = Result<Void, any Error>?

    private struct State {
        var task: Task<Void, Never>?
        var timer: TimeSource.Timer?
        /// Ends the grace that the handler has after its cancellation.
        var graceTimer: TimeSource.Timer?
        var isCancelled = false
        var isOverrun = false
        var end: End?
        var waiting: CheckedContinuation<End, Never>?
    }
    private let state = Lock(State())

    /// Whether the handler had not returned when its grace was over.
    ///
    /// Final once ``wait()`` has returned.
    var isOverrun: Bool { state.withLock { $0.isOverrun } }

    /// Takes over the task in which the handler runs.
    ///
    /// - Returns: Whether the task is to be cancelled.
    func begin(_ task: Task<Void, Never>) -> Bool {
        state.withLock { state in
            if case .some(.some) = state.end { return false }
            state.task = task
            return state.isCancelled
        }
    }

    /// Waits for the end.
    func wait() async -> End {
        await withCheckedContinuation { continuation in
            let end = state.withLock { state in
                if state.end == nil { state.waiting = continuation }
                return state.end
            }
            if let end { continuation.resume(returning: end) }
        }
    }

    /// Cancels the handler.
    func cancel() {
        let task = state.withLock { state in
            state.isCancelled = true
            return state.task
        }
        task?.cancel()
    }

    /// Has the handler's grace end at the instant, unless it has one already.
    ///
    /// - Parameters:
    ///   - instant: The end of the grace.
    ///   - timeSource: The source of the instant.
    ///   - overrun: Called when the grace is over, unless the handler has returned or the relay has walked away from it.
    func beginGrace(until instant: Int64, timeSource: TimeSource, overrun: @escaping @Sendable () -> Void) {
        let timer = timeSource.timer(at: instant) { if self.recordOverrun() { overrun() } }
        let isUsed = state.withLock { state in
            if state.end != nil || state.graceTimer != nil { return false }
            state.graceTimer = timer
            return true
        }
        if !isUsed { timer.cancel() }
    }

    private func recordOverrun() -> Bool {
        state.withLock { state in
            if state.end != nil || state.isOverrun { return false }
            state.isOverrun = true
            return true
        }
    }

    /// Walks away from the handler unless it has returned by the instant.
    func walkAway(at instant: Int64, timeSource: TimeSource) {
        let timer = timeSource.timer(at: instant) { self.finish(nil) }
        let hasEnded = state.withLock { state in
            if state.end == nil { state.timer = timer }
            return state.end != nil
        }
        if hasEnded { timer.cancel() }
    }

    /// Ends the wait with what the handler did, or with `nil` to walk away from it; the first end counts.
    @discardableResult
    func finish(_ end: End) -> Bool {
        let before = state.withLock { state -> State? in
            if state.end != nil { return nil }
            let before = state
            // A handler from which the relay walks away may still have to be cancelled.
            let task = end == nil ? before.task : nil
            state = State(task: task, isCancelled: before.isCancelled, isOverrun: before.isOverrun, end: .some(end))
            return before
        }
        before?.timer?.cancel()
        before?.graceTimer?.cancel()
        before?.waiting?.resume(returning: end)
        return before != nil
    }
}
