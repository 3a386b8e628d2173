internal import ReliabilityCore

/// The run of a handler in a task of its own, which the relay can abandon.
final class HandlerRun: Sendable {
    /// The end of a run.
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
        var end: End?
        /// The action at the end, or `nil` before the action is known and after it has run.
        var onEnd: (@Sendable (End) -> Void)?
    }
    private let state = Lock(State())
    /// The call of ``OutboxRelay/run()`` that started the handler.
    let session: RelaySession

    /// Creates the run of a handler that has not started.
    init(in session: RelaySession) { self.session = session }

    /// A Boolean value that indicates whether the handler exceeded its grace period.
    ///
    /// The value is final once the run has ended.
    var isOverrun: Bool { state.withLock { $0.isOverrun } }

    /// Stores the task of the handler.
    ///
    /// - Returns: `true` if the caller has to cancel the task.
    func attach(_ task: Task<Void, Never>) -> Bool {
        state.withLock { state in
            if case .returned = state.end { return false }
            state.task = task
            return state.isCancelled
        }
    }

    /// Sets the action at the end of the run, which runs in the call that ends the run.
    func whenEnded(_ action: @escaping @Sendable (End) -> Void) {
        let end = state.withLock { state in
            if state.end == nil { state.onEnd = action }
            return state.end
        }
        if let end { action(end) }
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

    /// Abandons the handler unless the handler has returned by the instant.
    func abandon(at instant: Int64, timeSource: TimeSource) {
        let timer = timeSource.timer(at: instant) { self.abandon() }
        let hasEnded = state.withLock { state in
            if state.end == nil { state.timer = timer }
            return state.end != nil
        }
        if hasEnded { timer.cancel() }
    }

    /// Abandons the handler unless the handler has returned.
    ///
    /// - Returns: `true` if this call abandoned the handler.
    @discardableResult
    func abandon() -> Bool { end(.abandoned) }

    /// Ends the run.
    ///
    /// - Returns: `true` for the first end. A later end has no effect.
    @discardableResult
    func end(_ end: End) -> Bool {
        let old = state.withLock { state -> State? in
            if state.end != nil { return nil }
            let old = state
            state.end = end
            // An abandoned handler may still have to be cancelled.
            if case .returned = end { state.task = nil }
            (state.timer, state.graceTimer, state.onEnd) = (nil, nil, nil)
            return old
        }
        guard let old else { return false }
        old.timer?.cancel()
        old.graceTimer?.cancel()
        old.onEnd?(end)
        return true
    }
}
