internal import ReliabilityCore

/// The run of a handler in a task of its own, which the relay can abandon.
final class HandlerRun: Sendable {
    /// The end of the wait for a handler.
    enum End: Sendable {
        case returned(Result<Void, any Error>)
        /// The relay no longer waits for the handler.
        case abandoned
    }

    private struct State {
        var task: Task<Void, Never>?
        /// The timer that abandons the handler.
        var timer: TimeSource.Timer?
        /// The timer at the end of the grace period after the handler's cancellation.
        var graceTimer: TimeSource.Timer?
        var isCancelled = false
        var isOverrun = false
        var rendezvous = Rendezvous<End>()
    }
    private let state = Lock(State())

    /// A Boolean value that indicates whether the handler exceeded its grace period.
    ///
    /// The value is final once ``wait()`` has returned.
    var isOverrun: Bool { state.withLock { $0.isOverrun } }

    /// Stores the task of the handler.
    ///
    /// - Returns: `true` if the caller has to cancel the task.
    func attach(_ task: Task<Void, Never>) -> Bool {
        state.withLock { state in
            if case .returned = state.rendezvous.value { return false }
            state.task = task
            return state.isCancelled
        }
    }

    /// Waits until the handler has returned or was abandoned.
    func wait() async -> End {
        await withCheckedContinuation { continuation in
            state.withLock { $0.rendezvous.wait(continuation) }?.resume()
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

    /// Starts the handler's grace period, unless the grace period has started already.
    ///
    /// - Parameters:
    ///   - instant: The end of the grace period.
    ///   - timeSource: The source of the instant.
    ///   - overrun: Called at the end of the grace period, unless the handler has returned or was abandoned.
    func beginGrace(until instant: Int64, timeSource: TimeSource, overrun: @escaping @Sendable () -> Void) {
        let timer = timeSource.timer(at: instant) { if self.recordOverrun() { overrun() } }
        let isUsed = state.withLock { state in
            if state.rendezvous.isResolved || state.graceTimer != nil { return false }
            state.graceTimer = timer
            return true
        }
        if !isUsed { timer.cancel() }
    }

    private func recordOverrun() -> Bool {
        state.withLock { state in
            if state.rendezvous.isResolved || state.isOverrun { return false }
            state.isOverrun = true
            return true
        }
    }

    /// Abandons the handler unless the handler has returned by the instant.
    func abandon(at instant: Int64, timeSource: TimeSource) {
        let timer = timeSource.timer(at: instant) { self.abandon() }
        let hasEnded = state.withLock { state in
            if !state.rendezvous.isResolved { state.timer = timer }
            return state.rendezvous.isResolved
        }
        if hasEnded { timer.cancel() }
    }

    /// Abandons the handler unless the handler has returned.
    ///
    /// - Returns: `true` if this call abandoned the handler.
    @discardableResult
    func abandon() -> Bool { end(.abandoned) }

    /// Ends the wait for the handler.
    ///
    /// - Returns: `true` for the first end. A later end has no effect.
    @discardableResult
    func end(_ end: End) -> Bool {
        let (resumption, timers) = state.withLock { state in
            let resumption = state.rendezvous.resolve(end)
            guard resumption != nil else { return (resumption, [TimeSource.Timer?]()) }
            // An abandoned handler may still have to be cancelled.
            if case .returned = end { state.task = nil }
            return (resumption, [state.timer.take(), state.graceTimer.take()])
        }
        for timer in timers { timer?.cancel() }
        resumption?.resume()
        return resumption != nil
    }
}
