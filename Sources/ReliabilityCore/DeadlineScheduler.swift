/// One thread that runs short actions at their time.
///
/// A cancelled entry is removed and freed at once, where a cancelled `Task.sleep` is kept until its deadline. An action
/// never runs early, and of two it is the one with the earlier instant, or the one armed first, that runs first.
/// Instants of ``shared`` are readings of ``TimeSource/continuous``. They count system sleep; the thread's wait does not,
/// so after a system sleep an action can run late by as long as the system slept.
package final class DeadlineScheduler: TimerQueue {
    /// The process's scheduler for `ContinuousClock`.
    package static let shared = DeadlineScheduler()
    /// The process's scheduler for `SuspendingClock`, whose instants do not count system sleep.
    static let suspending = DeadlineScheduler(reading: suspendingNanoseconds)

    private struct State: ~Copyable {
        var wheel: DeadlineWheel
        var isStarted = false
        /// Whether the thread looks at the wheel again before it waits.
        var isAwake = false
        /// When the thread wakes next.
        ///
        /// It may wake for an entry that was cancelled meanwhile, so that arming and cancelling timers of one length
        /// wakes it once in that length, not once each.
        var wakeAt = Int64.max
    }

    private enum Turn {
        case run(Entry)
        case again
        case wait(until: Int64)
    }

    private enum Call { case none, start, ring }

    private let reading: @Sendable () -> Int64
    private let startThread: @Sendable (@escaping @Sendable () -> Void) -> Bool
    private let state: Lock<State>
    private let alarm = Alarm()

    /// Creates a scheduler, whose thread starts when it is needed.
    ///
    /// - Parameters:
    ///   - reading: The clock, in nanoseconds.
    ///   - startThread: Starts a thread, or returns false when the system refuses one.
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

    /// Arms an entry; one that is armed already is moved.
    package func arm(_ entry: Entry, at instant: Int64) {
        let call = state.withLock { state -> Call in
            state.wheel.insert(entry, at: instant)
            if instant >= state.wakeAt { return .none }
            state.wakeAt = instant
            if !state.isStarted {
                state.isStarted = true
                state.isAwake = true
                return .start
            }
            return state.isAwake ? .none : .ring
        }
        // Neither belongs under the lock, which the thread takes first when it wakes.
        switch call {
        case .none: break
        case .start: if !startThread({ [self] in run() }) { runWithoutThread() }
        case .ring: alarm.ring()
        }
    }

    /// Removes an entry.
    ///
    /// - Returns: Whether the entry was armed; then it does not run.
    @discardableResult
    package func cancel(_ entry: Entry) -> Bool {
        let wasArmed = state.withLock { $0.wheel.remove(entry) }
        // Outside the lock: freeing what the entry held is not our code.
        if wasArmed { entry.cancelled() }
        return wasArmed
    }

    private func run() {
        while true {
            let instant = runDue()
            let now = reading()
            if instant > now { alarm.wait(nanoseconds: instant == .max ? nil : instant.saturatingSubtract(now)) }
            state.withLock { $0.isAwake = true }
        }
    }

    /// Runs what is due on the threads that tasks share, until the system has a thread to spare.
    private func runWithoutThread() {
        Task.detached { [self] in
            while !startThread({ [self] in run() }) {
                _ = runDue()
                try? await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    /// Runs what is due.
    ///
    /// - Returns: When to look again.
    private func runDue() -> Int64 {
        let now = reading()
        while true {
            switch state.withLock({ state in Self.turn(&state, now) }) {
            case .run(let entry): entry.fire()
            case .again: break
            case .wait(let instant): return instant
            }
        }
    }

    private static func turn(_ state: inout State, _ now: Int64) -> Turn {
        switch state.wheel.next(at: now) {
        case .due(let entry): return .run(entry)
        case .unfinished: return .again
        case .later(let next):
            state.wakeAt = state.wakeAt <= now ? next : min(state.wakeAt, next)
            state.isAwake = false
            return .wait(until: state.wakeAt)
        }
    }
}

/// Wakes the one thread that waits on it.
private final class Alarm: @unchecked Sendable {
    // @unchecked Sendable: `hasRung` is read and written with `monitor` locked only.
    private let monitor = ThreadMonitor()
    private var hasRung = false

    func ring() {
        monitor.lock()
        hasRung = true
        monitor.signal()
        monitor.unlock()
    }

    /// Returns when the alarm has rung since the last wait, or after a time.
    func wait(nanoseconds: Int64?) {
        monitor.lock()
        if !hasRung { monitor.wait(nanoseconds: nanoseconds) }
        hasRung = false
        monitor.unlock()
    }
}
