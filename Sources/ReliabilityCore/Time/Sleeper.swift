/// The shared state of a sleeping task, its timer and its cancellation.
///
/// The first of timer and cancellation resumes the task.
final class Sleeper: Sendable {
    enum End: Sendable {
        case elapsed
        case cancelled
    }

    private struct State {
        var rendezvous = Rendezvous<End>()
        var entry: TimerEntry?
    }
    private let state = Lock(State())
    private let onWake: (@Sendable () -> Void)?

    init(_ onWake: (@Sendable () -> Void)? = nil) { self.onWake = onWake }

    /// Stores the continuation of the sleeping task.
    ///
    /// - Returns: `false` if the sleep was cancelled before the sleep began. The task is then resumed.
    func start(_ continuation: CheckedContinuation<End, Never>) -> Bool {
        let resumption = state.withLock { $0.rendezvous.wait(continuation) }
        resumption?.resume()
        return resumption == nil
    }

    /// Stores the timer of the sleep.
    ///
    /// - Returns: `true` if the sleep has ended and the caller must cancel the entry.
    func setEntry(_ entry: TimerEntry) -> Bool {
        state.withLock { state in
            if state.rendezvous.isResolved { return true }
            state.entry = entry
            return false
        }
    }

    /// Ends the sleep, unless the sleep has ended.
    ///
    /// - Returns: The timer, which the caller must cancel, or `nil` if there is none.
    @discardableResult
    func finish(_ end: End) -> TimerEntry? {
        let (resumption, entry) = state.withLock { ($0.rendezvous.resolve(end), $0.entry.take()) }
        if let resumption, resumption.hasWaiter {
            onWake?()
            resumption.resume()
        }
        return entry
    }
}
