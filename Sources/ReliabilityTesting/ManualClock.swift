package import ReliabilityCore

/// A clock that stands still until a test moves it, and on which a test can wait for sleepers.
///
/// ```swift
/// let clock = ManualClock()
/// async let result = RetryPolicy(.idempotent, maxAttempts: 2, clock: clock).run { try await fetch() }
/// await clock.waitForSleepers(1)
/// clock.advance(by: .seconds(20))
/// ```
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

    private final class Waiter: Sendable {
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

    private struct State: ~Copyable {
        var now: Int64 = 0
        var wheel = DeadlineWheel(at: 0)
        /// How many calls run what is due, each until nothing is.
        var runners = 0
        var waiters: [Waiter] = []

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

        mutating func removeSatisfiedWaiters() -> [Waiter] {
            if waiters.isEmpty { return [] }
            let count = wheel.count
            let satisfied = waiters.filter { $0.count <= count }
            waiters.removeAll { $0.count <= count }
            return satisfied
        }
    }

    private let state = Lock(State())

    package let taskExecutor: (any TaskExecutor)?

    /// Creates a clock at zero.
    public convenience init() { self.init(taskExecutor: nil) }

    /// Creates a clock for a simulation whose tasks all run on one executor.
    init(taskExecutor: (any TaskExecutor)?) { self.taskExecutor = taskExecutor }

    /// The present instant.
    public var now: Instant { Instant(nanoseconds: reading) }

    /// One nanosecond.
    public var minimumResolution: Duration { .nanoseconds(1) }

    /// The number of tasks and timers that sleep on the clock.
    public var sleeperCount: Int { state.withLock { $0.wheel.count } }

    /// How long until the first sleeper wakes; nil when none sleeps.
    public var timeToNextSleeper: Duration? {
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

    /// Moves the clock, runs the timers and wakes the tasks that are due, the earliest first, and of two at one instant
    /// the one that came first.
    ///
    /// All of them see the clock where it ends up. ``advanceToNextSleeper()`` stops on the way. When this returns, the
    /// timers have run; the tasks that were woken go on by themselves.
    ///
    /// - Parameter duration: How far; not negative.
    /// - Precondition: `duration` is not negative.
    public func advance(by duration: Duration) {
        precondition(duration >= .zero, "a manual clock moves forward only (by \(duration))")
        state.withLock { state in
            state.now = state.now.saturatingAdd(duration.saturatingNanoseconds)
            state.runners += 1
        }
        runDue()
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

    /// Suspends until at least `count` tasks and timers sleep on the clock, or the task is cancelled.
    ///
    /// - Parameter count: How many.
    public func waitForSleepers(_ count: Int) async {
        let waiter = Waiter(count: count)
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard waiter.start(continuation) else {
                    continuation.resume()
                    return
                }
                let isOver = state.withLock { state in
                    if state.wheel.count >= count { return true }
                    state.waiters.append(waiter)
                    return false
                }
                if isOver { waiter.finish() }
            }
        } onCancel: {
            waiter.finish()
        }
        state.withLock { $0.waiters.removeAll { $0 === waiter } }
    }

    /// Waits for a sleeper, or for the task's cancellation, and moves the clock to the instant at which the first one wakes.
    public func advanceToNextSleeper() async {
        await waitForSleepers(1)
        if let wait = timeToNextSleeper { advance(by: max(.zero, wait)) }
    }
}

extension ManualClock: TimerClock {
    package var reading: Int64 { state.withLock { $0.now } }

    /// Arms an entry; one that is due already runs now, unless others that are due are being run: then it waits its turn.
    package func arm(_ entry: DeadlineScheduler.Entry, at instant: Int64) {
        let (waiters, isDue) = state.withLock { state -> ([Waiter], Bool) in
            state.wheel.insert(entry, at: instant)
            if instant > state.now { return (state.removeSatisfiedWaiters(), false) }
            if state.runners > 0 { return ([], false) }
            state.runners += 1
            return ([], true)
        }
        if isDue { runDue() }
        for waiter in waiters { waiter.finish() }
    }

    @discardableResult
    package func cancel(_ entry: DeadlineScheduler.Entry) -> Bool {
        let wasArmed = state.withLock { $0.wheel.remove(entry) }
        if wasArmed { entry.cancelled() }
        return wasArmed
    }
}
