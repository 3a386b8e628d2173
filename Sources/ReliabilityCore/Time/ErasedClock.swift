/// A clock other than `ContinuousClock`, erased to a timer queue.
@usableFromInline
final class ErasedClock: Sendable {
    private static let suspending = ErasedClock(timers: DeadlineScheduler.suspending)

    let timers: any TimerReadings
    let taskExecutor: (any TaskExecutor)?
    /// A Boolean value that indicates whether timers run in the call that moves the clock.
    let isTimerClock: Bool

    private init(timers: any TimerReadings, timerClock: (any TimerClock)? = nil) {
        self.timers = timers
        taskExecutor = timerClock?.taskExecutor
        isTimerClock = timerClock != nil
    }

    @usableFromInline
    static func erase<C: Clock<Duration>>(_ clock: C) -> ErasedClock {
        if C.self == SuspendingClock.self { return suspending }
        if let timerClock = clock as? any TimerClock {
            return ErasedClock(timers: ClockTimers(timerClock), timerClock: timerClock)
        }
        return ErasedClock(timers: TaskTimers(clock))
    }

    @usableFromInline var now: Int64 { timers.now }
}

/// A timer queue with the present reading of its clock.
protocol TimerReadings: TimerQueue {
    var now: Int64 { get }
}

/// The timers of a ``TimerClock``.
///
/// Readings count from the erasure of the clock.
private final class ClockTimers: TimerReadings {
    private let clock: any TimerClock
    private let origin: Int64

    init(_ clock: any TimerClock) {
        self.clock = clock
        origin = clock.reading
    }

    var now: Int64 { clock.reading.saturatingSubtract(origin) }

    func arm(_ entry: TimerEntry, at instant: Int64) {
        clock.arm(entry, at: origin.saturatingAdd(instant))
    }

    func cancel(_ entry: TimerEntry) -> Bool { clock.cancel(entry) }

    func sleep(until instant: Int64) async throws {
        try await clock.sleep(until: origin.saturatingAdd(instant))
    }
}

extension DeadlineScheduler: TimerReadings {}

/// The timers of a clock that can only sleep.
///
/// A timer is a task that sleeps until the timer's instant or cancellation. A test clock therefore sees exactly the
/// pending sleeps. On a clock of real time, the runtime keeps a cancelled sleep until its instant (0.7 KB each).
private final class TaskTimers<C: Clock<Duration>>: TimerReadings {
    private struct State {
        var number: UInt64 = 0
        var armed: [ObjectIdentifier: (number: UInt64, task: Task<Void, Never>)] = [:]
    }

    private let clock: C
    private let origin: C.Instant
    private let state = Lock(State())

    init(_ clock: C) {
        self.clock = clock
        origin = clock.now
    }

    var now: Int64 { origin.duration(to: clock.now).saturatingNanoseconds }

    func sleep(until instant: Int64) async throws {
        // Relative to the present reading, because `origin + instant` could overflow an instant of the clock. A single
        // reading, because a clock that moves between two readings would lengthen the sleep.
        let now = clock.now
        let wait = instant.saturatingSubtract(origin.duration(to: now).saturatingNanoseconds)
        if wait > 0 {
            try await clock.sleep(until: now.advanced(by: .nanoseconds(wait)), tolerance: nil)
        } else {
            try Task.checkCancellation()
        }
    }

    func arm(_ entry: TimerEntry, at instant: Int64) {
        let id = ObjectIdentifier(entry)
        let before = state.withLock { state in
            state.number += 1
            let number = state.number
            let task = Task.detached { [self] in
                // A clock that fails to sleep runs the entry immediately, because a lost entry would leave a call
                // hanging.
                do { try await sleep(until: instant) } catch { if Task.isCancelled { return } }
                if remove(id, number) { entry.fire() }
            }
            return state.armed.updateValue((number, task), forKey: id)
        }
        before?.task.cancel()
    }

    func cancel(_ entry: TimerEntry) -> Bool {
        guard let armed = state.withLock({ $0.armed.removeValue(forKey: ObjectIdentifier(entry)) }) else {
            return false
        }
        armed.task.cancel()
        entry.cancelled()
        return true
    }

    /// Removes an armed entry.
    ///
    /// - Returns: `false` if the entry was cancelled or moved meanwhile.
    private func remove(_ id: ObjectIdentifier, _ number: UInt64) -> Bool {
        state.withLock { state in
            guard state.armed[id]?.number == number else { return false }
            state.armed[id] = nil
            return true
        }
    }
}
