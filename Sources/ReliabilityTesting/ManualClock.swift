package import ReliabilityCore

/// A clock that stands still until a test moves it, and on which a test can wait for sleepers.
///
/// It is for one policy with one wait, and for state that time changes, such as an open breaker or an expired entry:
///
/// ```swift
/// let clock = ManualClock()
/// let call = Task { try await withTimeout(.seconds(8), clock: clock) { try await clock.sleep(for: .seconds(60)) } }
/// await clock.advance(by: .seconds(8), whenSleeping: 2)    // the limit and the operation
/// await #expect(throws: TimeoutError.self) { try await call.value }
/// ```
///
/// Whatever waits several times, such as a retry or a pipeline, belongs into a ``Simulation``, whose clock moves by
/// itself when nothing else can happen. A manual clock cannot know whether the tasks that it has woken have gone on to
/// their next wait. A test that moves it meanwhile would pass a wait that it wanted to see. So the clock stops the
/// program, with a message, when it is moved
///
/// - past two instants at which something sleeps: what the first one starts has to come before the second,
/// - to an instant at which something sleeps, before a task that it has woken earlier has gone on,
/// - by ``advance(by:whenSleeping:)`` while more sleep than the test says.
///
/// A test that waits for a sleeper that never comes, or whose tasks sleep on a clock that it has moved too early, hangs.
/// After ten seconds of real time the clock writes to the standard error who waits for what.
///
/// No test has to yield, poll or sleep for real: ``waitForSleepers(_:)`` returns when the sleepers are there.
public final class ManualClock: Clock, Sendable {
    /// A moment of a manual clock: the time since it was made.
    ///
    /// Arithmetic saturates at ±292 years.
    public struct Instant: InstantProtocol {
        let nanoseconds: Int64

        /// The instant `duration` later.
        public func advanced(by duration: Duration) -> Instant {
            Instant(nanoseconds: nanoseconds.saturatingAdd(duration.saturatingNanoseconds))
        }

        /// The time from this instant to another.
        public func duration(to other: Instant) -> Duration {
            .nanoseconds(other.nanoseconds.saturatingSubtract(nanoseconds))
        }

        /// Whether the first comes before the second.
        public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }
    }

    fileprivate final class Waiter: Sendable {
        let count: Int
        let state = Lock((continuation: CheckedContinuation<Void, Never>?.none, isOver: false))

        init(count: Int) { self.count = count }

        /// False when the wait is over already.
        func start(_ continuation: CheckedContinuation<Void, Never>) -> Bool {
            state.withLock { state in
                if state.isOver { return false }
                state.continuation = continuation
                return true
            }
        }

        func finish() {
            let continuation = state.withLock { state in
                state.isOver = true
                return state.continuation.take()
            }
            continuation?.resume()
        }
    }

    fileprivate struct State: ~Copyable {
        var now: Int64 = 0
        var wheel = DeadlineWheel(at: 0)
        /// How many calls run what is due, each until nothing is.
        var runners = 0
        /// How many of them have moved the clock.
        var movers = 0
        var waiters: [Waiter] = []
        /// How many tasks the clock has woken that have not gone on yet.
        var woken = 0
        /// How many sleepers were there when the clock was last moved; nil for a clock that was never moved.
        var sleepersAtLastMove: Int?
        /// Counts what happens, for the watchdog.
        var activity: UInt64 = 0
        var isWatched = false

        /// The first entry that is due; it has been removed.
        mutating func nextDue() -> DeadlineScheduler.Entry? {
            while true {
                switch wheel.next(at: now) {
                case .due(let entry): return entry
                case .later: return nil
                case .unfinished: continue
                }
            }
        }

        /// Why the clock must not have been moved to where it is; nil when it may.
        mutating func refusal() -> String? {
            // Before anything runs: what runs may change what is due, and how much of that in time depends on chance.
            var due: [DeadlineScheduler.Entry] = []
            while let entry = nextDue() { due.append(entry) }
            guard let first = due.first?.armedInstant, let last = due.last?.armedInstant else { return nil }
            for entry in due { wheel.insert(entry, at: entry.armedInstant) }
            func text(_ instant: Int64) -> String { Duration.nanoseconds(instant).text }
            if movers == 0, woken > 0 {
                return """
                    the clock was moved to those that sleep until \(text(first)) before \(woken) task(s) went on that it \
                    had woken before. Await what they do first, or use a Simulation
                    """
            }
            if first == last { return nil }
            return """
                the clock was moved to \(text(now)), past those that sleep until \(text(first)) and those that sleep \
                until \(text(last)). What the first start has to come before the rest: stop at each, or use a Simulation
                """
        }

        mutating func removeSatisfiedWaiters() -> [Waiter] {
            if waiters.isEmpty || woken > 0 { return [] }
            let count = wheel.count
            let satisfied = waiters.filter { $0.count <= count }
            waiters.removeAll { $0.count <= count }
            return satisfied
        }
    }

    private let state = Lock(State())
    /// Apart from the scheduler of everybody's deadlines, whose timers tests count.
    private static let watchdogs = DeadlineScheduler()

    /// How long, in real time, nothing may happen while a test waits; nil for ever.
    private let patience: Duration?
    private let complain: @Sendable (String) -> Void

    package let taskExecutor: (any TaskExecutor)?

    /// Creates a clock at zero.
    public convenience init() { self.init(patience: .seconds(10), complain: writeToStandardError) }

    init(patience: Duration, complain: @escaping @Sendable (String) -> Void) {
        self.patience = patience
        self.complain = complain
        taskExecutor = nil
    }

    /// Creates a clock for a simulation whose tasks all run on one executor.
    init(taskExecutor: any TaskExecutor) {
        self.taskExecutor = taskExecutor
        patience = nil
        complain = { _ in }
    }

    /// The present instant.
    public var now: Instant { Instant(nanoseconds: reading) }

    /// One nanosecond.
    public var minimumResolution: Duration { .nanoseconds(1) }

    /// The number of tasks and timers that sleep on the clock.
    public var sleeperCount: Int { state.withLock { $0.wheel.count } }

    /// How long until the first sleeper wakes; nil when none sleeps.
    ///
    /// Not public: a test that moves from one sleeper to the next races what the first one starts.
    package var timeToNextSleeper: Duration? {
        state.withLock { state in
            state.wheel.earliest().map { .nanoseconds(max(0, $0.saturatingSubtract(state.now))) }
        }
    }

    /// The same, but nil when those that sleep do so for ever: until the last instant there is.
    var timeToNextEnd: Duration? {
        state.withLock { state in
            state.wheel.earliest().flatMap { $0 == .max ? nil : .nanoseconds(max(0, $0.saturatingSubtract(state.now))) }
        }
    }

    /// Suspends until the clock has been moved to the instant.
    ///
    /// - Parameters:
    ///   - deadline: When to wake.
    ///   - tolerance: Not used.
    /// - Throws: `CancellationError`, at once, when the task is cancelled.
    public func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        try await sleep(until: deadline.nanoseconds)
    }

    /// Waits until exactly `count` tasks and timers sleep on the clock, and moves it.
    ///
    /// It returns without moving the clock if the task is cancelled.
    ///
    /// - Parameters:
    ///   - duration: How far; not negative.
    ///   - count: How many sleep. A limit is one sleeper, and an operation that sleeps inside it is another.
    /// - Precondition: `duration` is not negative, no more than `count` sleep, and what holds for ``advance(by:)``.
    public func advance(by duration: Duration, whenSleeping count: Int) async {
        await waitForSleepers(count)
        if Task.isCancelled { return }
        let sleepers = sleeperCount
        requireValid(
            sleepers <= count,
            "advance(by: \(duration.text), whenSleeping: \(count)): \(sleepers) sleep; a limit is one, too"
        )
        advance(by: duration)
    }

    /// Moves the clock, runs the timers and wakes the tasks that are due, in the order in which they came.
    ///
    /// All of them see the clock where it ends up. When this returns, the timers have run; the tasks that were woken go
    /// on by themselves. What is not asleep yet is not woken: where a task is to sleep first, use
    /// ``advance(by:whenSleeping:)``.
    ///
    /// - Parameter duration: How far; not negative.
    /// - Precondition: `duration` is not negative. It passes one instant at most at which something sleeps. If it passes
    ///   one, every task that an earlier move has woken has gone on: await its value, or ``waitForSleepers(_:)``.
    public func advance(by duration: Duration) {
        requireValid(duration >= .zero, "a manual clock moves forward only (by \(duration.text))")
        let refusal = state.withLock { state -> String? in
            state.activity += 1
            state.sleepersAtLastMove = state.wheel.count
            state.now = state.now.saturatingAdd(duration.saturatingNanoseconds)
            if let refusal = state.refusal() { return refusal }
            state.runners += 1
            state.movers += 1
            return nil
        }
        if let refusal { endProcess(refusal) }
        runDue()
        state.withLock { $0.movers -= 1 }
    }

    /// Moves the clock past whatever sleeps, as if the whole process had stood still.
    ///
    /// - Parameter duration: How far; not negative.
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

    /// Runs what is due until nothing is, one after the other, so that each may still cancel those behind it.
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

    /// Suspends until at least `count` tasks and timers sleep on the clock and every task that it has woken has gone on, or
    /// the task is cancelled.
    ///
    /// - Parameter count: How many. A limit is one sleeper, and an operation that sleeps inside it is another.
    public func waitForSleepers(_ count: Int) async {
        let waiter = Waiter(count: count)
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard waiter.start(continuation) else {
                    continuation.resume()
                    return
                }
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

    /// Waits for a sleeper, or for the task's cancellation, and moves the clock to the instant at which the first one wakes.
    ///
    /// Not public: a test that calls it again races what the first one starts.
    package func advanceToNextSleeper() async {
        await waitForSleepers(1)
        if let wait = timeToNextSleeper { advance(by: max(.zero, wait)) }
    }
}

// MARK: What hangs

extension ManualClock {
    /// Complains when the test waits and nothing happens for long.
    private func watch() {
        guard let patience else { return }
        let activity = state.withLock { state -> UInt64? in
            // What hangs on a clock that nobody moves may be meant to.
            if state.isWatched || state.sleepersAtLastMove == nil && state.waiters.isEmpty { return nil }
            state.isWatched = true
            return state.activity
        }
        guard let activity else { return }
        _ = Self.watchdogs.schedule(at: TimeSource.continuous.instant(after: patience)) { [weak self] in
            // When this has had so many turns, it is not for want of a thread that nothing has happened.
            Task {
                for _ in 0..<100 { await Task.yield() }
                self?.check(activity, patience)
            }
        }
    }

    private func check(_ activity: UInt64, _ patience: Duration) {
        let text = state.withLock { state -> String? in
            if state.activity == activity { return state.complaint(patience) }
            state.isWatched = false
            return nil
        }
        if let text { complain(text) } else { watch() }
    }
}

extension ManualClock.State {
    /// What a test waits for; nil when it waits for nothing.
    fileprivate mutating func complaint(_ patience: Duration) -> String? {
        let asleep = "\(wheel.count) task(s) and timer(s) sleep on it"
        if let wanted = waiters.map(\.count).min() {
            return "ManualClock: a test has waited for \(wanted) sleeper(s) for \(patience.text); \(asleep)\n"
        }
        guard let next = wheel.earliest() else { return nil }
        let wait = Duration.nanoseconds(next.saturatingSubtract(now)).text
        var text = "ManualClock: nothing has happened for \(patience.text); \(asleep), the first for another \(wait)"
        if sleepersAtLastMove == 0 {
            text += ". It was moved before they slept: use `await clock.advance(by:whenSleeping:)`"
        }
        return text + "\n"
    }
}

extension ManualClock: TimerClock {
    package var reading: Int64 { state.withLock { $0.now } }

    /// Arms an entry; one that is due already runs now, unless others that are due are being run: then it waits its turn.
    package func arm(_ entry: DeadlineScheduler.Entry, at instant: Int64) {
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
        defer { if isWoken.withLock({ $0 }) { goOn() } }
        try await sleep(
            until: instant,
            onWake: {
                // Only what a move causes: a test that cancels a sleeper may move the clock meanwhile.
                let isByMove = self.state.withLock { state in
                    if state.movers > 0 { state.woken += 1 }
                    return state.movers > 0
                }
                isWoken.withLock { $0 = isByMove }
            }
        )
    }

    /// Notes that a task that was woken runs again.
    private func goOn() {
        let waiters = state.withLock { state in
            state.woken -= 1
            return state.removeSatisfiedWaiters()
        }
        for waiter in waiters { waiter.finish() }
    }

    @discardableResult
    package func cancel(_ entry: DeadlineScheduler.Entry) -> Bool {
        let wasArmed = state.withLock { $0.wheel.remove(entry) }
        if wasArmed { entry.cancelled() }
        return wasArmed
    }
}
