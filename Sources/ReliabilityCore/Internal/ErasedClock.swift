/// A clock that is not `ContinuousClock`.
@usableFromInline
final class ErasedClock: Sendable {
    private static let suspending = ErasedClock(timers: DeadlineScheduler.suspending)

    let timers: any TimerReadings
    let taskExecutor: (any TaskExecutor)?
    /// Whether timers run in the call that moves the clock.
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

/// A timer queue and the readings that its instants are.
protocol TimerReadings: TimerQueue {
    var now: Int64 { get }
}

/// A clock with timers; readings count from the moment at which it was erased.
private final class ClockTimers: TimerReadings {
    private let clock: any TimerClock
    private let origin: Int64

    init(_ clock: any TimerClock) {
        self.clock = clock
        origin = clock.reading
    }

    var now: Int64 { clock.reading.saturatingSubtract(origin) }

    func arm(_ entry: DeadlineScheduler.Entry, at instant: Int64) {
        clock.arm(entry, at: origin.saturatingAdd(instant))
    }

    func cancel(_ entry: DeadlineScheduler.Entry) -> Bool { clock.cancel(entry) }

    func sleep(until instant: Int64) async throws {
        try await clock.sleep(until: origin.saturatingAdd(instant))
    }
}

extension DeadlineScheduler: TimerReadings {}

/// Any other clock: it can only sleep, so a timer is a task that sleeps on it until the timer is cancelled.
///
/// A test clock thus sees exactly the sleeps there are. Where the clock sleeps in real time, the runtime keeps a
/// cancelled sleep until its instant has come (0.7 KB each).
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
        // From the present reading: `origin + instant` could overflow a clock's own instant. And from one reading:
        // a clock that moves between two would make the sleep longer by as much.
        let now = clock.now
        let wait = instant.saturatingSubtract(origin.duration(to: now).saturatingNanoseconds)
        if wait > 0 {
            try await clock.sleep(until: now.advanced(by: .nanoseconds(wait)), tolerance: nil)
        } else {
            try Task.checkCancellation()
        }
    }

    func arm(_ entry: DeadlineScheduler.Entry, at instant: Int64) {
        let id = ObjectIdentifier(entry)
        let before = state.withLock { state in
            state.number += 1
            let number = state.number
            let task = Task.detached { [self] in
                // A clock that cannot sleep knows no later: better at once than never, which nobody would notice.
                do { try await sleep(until: instant) } catch { if Task.isCancelled { return } }
                if remove(id, number) { entry.fire() }
            }
            return state.armed.updateValue((number, task), forKey: id)
        }
        before?.task.cancel()
    }

    func cancel(_ entry: DeadlineScheduler.Entry) -> Bool {
        guard let armed = state.withLock({ $0.armed.removeValue(forKey: ObjectIdentifier(entry)) }) else {
            return false
        }
        armed.task.cancel()
        entry.cancelled()
        return true
    }

    /// False when the entry was cancelled or moved meanwhile.
    private func remove(_ id: ObjectIdentifier, _ number: UInt64) -> Bool {
        state.withLock { state in
            guard state.armed[id]?.number == number else { return false }
            state.armed[id] = nil
            return true
        }
    }
}
