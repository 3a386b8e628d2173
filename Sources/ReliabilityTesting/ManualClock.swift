package import ReliabilityCore

/// A clock that moves only when a test moves it and that lets the test wait for sleepers.
///
/// Use a manual clock for a policy with a single wait and for state that changes with time, such as an open breaker or
/// an expired entry:
///
/// ```swift
/// let clock = ManualClock()
/// let call = Task { try await withTimeout(.seconds(8), clock: clock) { try await clock.sleep(for: .seconds(60)) } }
/// await clock.advance(by: .seconds(8), whenSleeping: 2)    // the timeout and the operation
/// await #expect(throws: TimeoutError.self) { try await call.value }
/// ```
///
/// Use a ``Simulation`` for code that waits several times, such as a retry or a pipeline. The clock of a simulation
/// moves only when no task can run. A manual clock cannot know whether the tasks that the clock woke have reached their
/// next wait. A move at the wrong time would skip a wait that the test is meant to see. The clock therefore stops the
/// process with a message if a test moves the clock:
///
/// - past two instants with sleepers, because work started at the first instant must run before the second instant
/// - to an instant with sleepers before a task woken by an earlier move has resumed
/// - by ``advance(by:whenSleeping:)`` with more sleepers than the given number
///
/// A test hangs if a sleeper never comes, or if a task begins to sleep after the clock has moved. After ten seconds of
/// real time without activity, the clock writes a diagnosis to the standard error.
///
/// A test needs no yielding, polling or real sleeping. ``waitForSleepers(_:)`` returns when the sleepers are there.
public final class ManualClock: Clock, Sendable {
    /// An instant of a manual clock: the time since the creation of the clock.
    ///
    /// Arithmetic saturates at ±292 years.
    public struct Instant: InstantProtocol {
        let nanoseconds: Int64

        /// Returns the instant `duration` later.
        public func advanced(by duration: Duration) -> Instant {
            Instant(nanoseconds: nanoseconds.saturatingAdd(duration.saturatingNanoseconds))
        }

        /// Returns the time from this instant to another instant.
        public func duration(to other: Instant) -> Duration {
            .nanoseconds(other.nanoseconds.saturatingSubtract(nanoseconds))
        }

        /// Returns a Boolean value that indicates whether the left instant is before the right instant.
        public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }
    }

    private let state = Lock(State())
    /// A separate scheduler for watchdogs, because tests count the timers of the shared scheduler.
    private static let watchdogs = DeadlineScheduler()

    /// The longest real time without activity while a test waits, or `nil` for no limit.
    private let maxWait: Duration?
    private let reportStall: @Sendable (String) -> Void

    package let taskExecutor: (any TaskExecutor)?

    /// Creates a clock at zero.
    public convenience init() { self.init(maxWait: .seconds(10), reportStall: writeToStandardError) }

    init(maxWait: Duration, reportStall: @escaping @Sendable (String) -> Void) {
        self.maxWait = maxWait
        self.reportStall = reportStall
        taskExecutor = nil
    }

    /// Creates a clock for a simulation that runs all tasks on a single executor.
    init(taskExecutor: any TaskExecutor) {
        self.taskExecutor = taskExecutor
        maxWait = nil
        reportStall = { _ in }
    }

    /// The current instant.
    public var now: Instant { Instant(nanoseconds: reading) }

    /// The resolution of the clock: a nanosecond.
    public var minimumResolution: Duration { .nanoseconds(1) }

    /// The number of tasks and timers that sleep on the clock.
    public var sleeperCount: Int { state.withLock { $0.wheel.count } }

    /// The time until the first sleeper wakes, or `nil` if there is no sleeper.
    ///
    /// Not public: a test that moves from sleeper to sleeper races the work started by the first sleeper.
    package var timeToNextSleeper: Duration? {
        state.withLock { state in
            state.wheel.earliest().map { .nanoseconds(max(0, $0.saturatingSubtract(state.now))) }
        }
    }

    /// The time until the first sleeper wakes, or `nil` if every sleeper sleeps forever.
    ///
    /// A sleeper sleeps forever if its deadline is the last instant.
    var timeToNextEnd: Duration? {
        state.withLock { state in
            state.wheel.earliest().flatMap { $0 == .max ? nil : .nanoseconds(max(0, $0.saturatingSubtract(state.now))) }
        }
    }

    /// Suspends until the clock reaches an instant.
    ///
    /// - Parameters:
    ///   - deadline: The instant.
    ///   - tolerance: Ignored.
    /// - Throws: `CancellationError` immediately if the task is cancelled.
    public func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        try await sleep(until: deadline.nanoseconds)
    }

    /// Waits until exactly `count` tasks and timers sleep on the clock and then moves the clock.
    ///
    /// Returns without moving the clock if the task is cancelled.
    ///
    /// - Parameters:
    ///   - duration: The distance of the move. Must not be negative.
    ///   - count: The number of sleepers. A timeout counts as a sleeper. So does an operation that sleeps inside
    ///     the timeout.
    /// - Precondition: `duration` is not negative. At most `count` tasks and timers sleep. The preconditions of
    ///   ``advance(by:)`` apply.
    public func advance(by duration: Duration, whenSleeping count: Int) async {
        await waitForSleepers(count)
        if Task.isCancelled { return }
        let sleepers = sleeperCount
        requireValid(
            sleepers <= count,
            "advance(by: \(duration.text), whenSleeping: \(count)): \(sleepers) sleep. A timeout is a sleeper, too"
        )
        advance(by: duration)
    }

    /// Moves the clock, runs the due timers and wakes the due sleepers in the order of their instants and of their
    /// arming.
    ///
    /// All timers and woken tasks read the final instant. When this method returns, the timers have run. The woken
    /// tasks resume on their own. A task that does not sleep yet is not woken. If a task must sleep first, use
    /// ``advance(by:whenSleeping:)``.
    ///
    /// - Parameter duration: The distance of the move. Must not be negative.
    /// - Precondition: `duration` is not negative. The move reaches or passes at most one instant with sleepers. If
    ///   there is such an instant, every task woken by an earlier move has resumed. To ensure this, await the value of
    ///   the task or ``waitForSleepers(_:)``.
    public func advance(by duration: Duration) {
        requireValid(duration >= .zero, "duration must not be negative (is \(duration.text))")
        let rejection = state.withLock { state -> String? in
            state.activity += 1
            state.sleepersAtLastMove = state.wheel.count
            state.now = state.now.saturatingAdd(duration.saturatingNanoseconds)
            if let rejection = state.rejection() { return rejection }
            state.runners += 1
            state.movers += 1
            return nil
        }
        if let rejection { endProcess(rejection) }
        runDue()
        state.withLock { $0.movers -= 1 }
    }

    /// Moves the clock without the checks of ``advance(by:)`` as if the whole process had stood still.
    ///
    /// - Parameter duration: The distance of the move. Must not be negative.
    package func stall(for duration: Duration) {
        state.withLock { state in
            state.activity += 1
            state.now = state.now.saturatingAdd(duration.saturatingNanoseconds)
            state.runners += 1
            state.movers += 1
        }
        runDue()
        state.withLock { $0.movers -= 1 }
    }

    /// Runs due entries one after the other until none is due.
    ///
    /// An entry may cancel entries behind it.
    private func runDue() {
        while true {
            let entry = state.withLock { state in
                let entry = state.nextDue()
                if entry == nil { state.runners -= 1 }
                return entry
            }
            guard let entry else { return }
            entry.fire()
        }
    }

    /// Suspends until at least `count` tasks and timers sleep on the clock and every woken task has resumed.
    ///
    /// Returns early if the task is cancelled.
    ///
    /// - Parameter count: The number of sleepers. A timeout counts as a sleeper. So does an operation that sleeps
    ///   inside the timeout.
    public func waitForSleepers(_ count: Int) async {
        let waiter = Waiter(count: count)
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard waiter.start(continuation) else { return }
                let isOver = state.withLock { state in
                    if state.woken == 0, state.wheel.count >= count { return true }
                    state.waiters.append(waiter)
                    return false
                }
                if isOver { waiter.finish() } else { watch() }
            }
        } onCancel: {
            waiter.finish()
        }
        state.withLock { $0.waiters.removeAll { $0 === waiter } }
    }

    /// Waits for a sleeper or for the task's cancellation and then moves the clock to the instant of the first sleeper.
    ///
    /// Not public: a test that calls this method repeatedly races the work started by the first sleeper.
    package func advanceToNextSleeper() async {
        await waitForSleepers(1)
        if let wait = timeToNextSleeper { advance(by: max(.zero, wait)) }
    }
}

// MARK: Watchdog

extension ManualClock {
    /// Starts the watchdog.
    ///
    /// The watchdog reports a test that waits without activity.
    private func watch() {
        guard let maxWait else { return }
        let activity = state.withLock { state -> UInt64? in
            // A sleeper on a clock that never moved may be intended.
            if state.isWatched || state.sleepersAtLastMove == nil && state.waiters.isEmpty { return nil }
            state.isWatched = true
            return state.activity
        }
        guard let activity else { return }
        _ = Self.watchdogs.schedule(at: TimeSource.continuous.instant(after: maxWait)) { [weak self] in
            // After 100 yields, a lack of threads does not explain the lack of activity.
            Task {
                for _ in 0..<100 { await Task.yield() }
                self?.check(activity, maxWait)
            }
        }
    }

    private func check(_ activity: UInt64, _ maxWait: Duration) {
        let text = state.withLock { state -> String? in
            if state.activity == activity { return state.report(maxWait) }
            state.isWatched = false
            return nil
        }
        if let text { reportStall(text) } else { watch() }
    }
}

extension ManualClock: TimerClock {
    package var reading: Int64 { state.withLock { $0.now } }

    /// Arms an entry.
    ///
    /// An entry that is already due runs immediately. While other due entries run, the entry runs after them.
    package func arm(_ entry: TimerEntry, at instant: Int64) {
        let (waiters, isDue) = state.withLock { state -> ([Waiter], Bool) in
            state.activity += 1
            state.wheel.insert(entry, at: instant)
            if instant > state.now { return (state.removeSatisfiedWaiters(), false) }
            if state.runners > 0 { return ([], false) }
            state.runners += 1
            return ([], true)
        }
        if isDue { runDue() } else { watch() }
        for waiter in waiters { waiter.finish() }
    }

    package func sleep(until instant: Int64) async throws {
        let isWoken = Lock(false)
        defer { if isWoken.withLock({ $0 }) { continueRun() } }
        try await sleep(
            until: instant,
            onWake: {
                // Count only a wake caused by a move. A cancelled sleeper wakes without a move.
                let isByMove = self.state.withLock { state in
                    if state.movers > 0 { state.woken += 1 }
                    return state.movers > 0
                }
                isWoken.withLock { $0 = isByMove }
            }
        )
    }

    /// Records that a woken task has resumed.
    private func continueRun() {
        let waiters = state.withLock { state in
            state.woken -= 1
            return state.removeSatisfiedWaiters()
        }
        for waiter in waiters { waiter.finish() }
    }

    @discardableResult
    package func cancel(_ entry: TimerEntry) -> Bool {
        let wasArmed = state.withLock { $0.wheel.remove(entry) }
        if wasArmed { entry.cancelled() }
        return wasArmed
    }
}
