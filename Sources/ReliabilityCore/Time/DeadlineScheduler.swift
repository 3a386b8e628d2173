/// A thread that runs short actions at their instants.
///
/// A cancelled entry is removed and freed immediately, whereas a cancelled `Task.sleep` is kept until its deadline. An
/// action never runs early. Actions run in the order of their instants. Actions with equal instants run in the order of
/// arming.
///
/// Instants of ``shared`` are readings of ``TimeSource/continuous``, which count system sleep. The thread's wait does
/// not count system sleep. An action can therefore run late by the duration of a system sleep.
package final class DeadlineScheduler: TimerQueue {
    /// The process-wide scheduler for `ContinuousClock`.
    package static let shared = DeadlineScheduler()
    /// The process-wide scheduler for `SuspendingClock`.
    ///
    /// The instants do not count system sleep.
    static let suspending = DeadlineScheduler(reading: suspendingNanoseconds)

    private struct State: ~Copyable {
        var wheel: DeadlineWheel
        var isStarted = false
        /// A Boolean value that indicates whether the thread reads the wheel again before its next wait.
        var isAwake = false
        /// The instant at which the thread wakes next.
        // A cancellation does not move this instant. Arming and cancelling many timers of equal length therefore wakes
        // the thread once in that length, not once for each timer.
        var wakeAt = Int64.max
    }

    private enum Step {
        case run(TimerEntry)
        case recheck
        case wait(until: Int64)
    }

    private enum Notification { case none, startThread, wake }

    private let reading: @Sendable () -> Int64
    private let startThread: @Sendable (@escaping @Sendable () -> Void) -> Bool
    private let state: Lock<State>
    private let wakeup = WakeupSignal()

    /// Creates a scheduler.
    ///
    /// The thread starts with the first entry.
    ///
    /// - Parameters:
    ///   - reading: Returns the reading of the clock in nanoseconds.
    ///   - startThread: Starts a thread, or returns `false` if the system rejects the thread.
    package init(
        reading: @escaping @Sendable () -> Int64 = { continuousNanoseconds() },
        startThread: @escaping @Sendable (@escaping @Sendable () -> Void) -> Bool = tryToStartThread
    ) {
        self.reading = reading
        self.startThread = startThread
        state = Lock(State(wheel: DeadlineWheel(at: reading())))
    }

    /// The present reading of the scheduler's clock.
    package var now: Int64 { reading() }

    /// The number of pending actions.
    package var pendingCount: Int { state.withLock { $0.wheel.count } }

    /// Arms an entry or moves an armed entry.
    package func arm(_ entry: TimerEntry, at instant: Int64) {
        let notification = state.withLock { state -> Notification in
            state.wheel.insert(entry, at: instant)
            if instant >= state.wakeAt { return .none }
            state.wakeAt = instant
            if !state.isStarted {
                state.isStarted = true
                state.isAwake = true
                return .startThread
            }
            return state.isAwake ? .none : .wake
        }
        // Outside the lock, which a starting or waking thread acquires first.
        switch notification {
        case .none: break
        case .startThread: if !startThread({ [self] in run() }) { runWithoutThread() }
        case .wake: wakeup.send()
        }
    }

    /// Removes an entry.
    ///
    /// - Returns: `true` if the entry was armed. The entry then does not run.
    @discardableResult
    package func cancel(_ entry: TimerEntry) -> Bool {
        let wasArmed = state.withLock { $0.wheel.remove(entry) }
        // Outside the lock, because freeing the entry's state can run user code.
        if wasArmed { entry.cancelled() }
        return wasArmed
    }

    private func run() {
        while true {
            let instant = runDue()
            let now = reading()
            if instant > now { wakeup.wait(nanoseconds: instant == .max ? nil : instant.saturatingSubtract(now)) }
            state.withLock { $0.isAwake = true }
        }
    }

    /// Runs due entries in a task until the system starts a thread.
    private func runWithoutThread() {
        Task.detached { [self] in
            while !startThread({ [self] in run() }) {
                _ = runDue()
                try? await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    /// Runs due entries.
    ///
    /// - Returns: The instant of the next check.
    private func runDue() -> Int64 {
        let now = reading()
        while true {
            switch state.withLock({ state in Self.nextStep(&state, now) }) {
            case .run(let entry): entry.fire()
            case .recheck: break
            case .wait(let instant): return instant
            }
        }
    }

    private static func nextStep(_ state: inout State, _ now: Int64) -> Step {
        switch state.wheel.next(at: now) {
        case .due(let entry): return .run(entry)
        case .unfinished: return .recheck
        case .later(let next):
            state.wakeAt = state.wakeAt <= now ? next : min(state.wakeAt, next)
            state.isAwake = false
            return .wait(until: state.wakeAt)
        }
    }
}

/// A signal that wakes a single waiting thread.
private final class WakeupSignal: @unchecked Sendable {
    // @unchecked Sendable: `isPending` is accessed only with `monitor` locked.
    private let monitor = ThreadMonitor()
    private var isPending = false

    func send() {
        monitor.lock()
        isPending = true
        monitor.signal()
        monitor.unlock()
    }

    /// Waits for a signal since the last wait.
    ///
    /// - Parameter nanoseconds: The longest wait, or `nil` to wait without a limit.
    func wait(nanoseconds: Int64?) {
        monitor.lock()
        if !isPending { monitor.wait(nanoseconds: nanoseconds) }
        isPending = false
        monitor.unlock()
    }
}
