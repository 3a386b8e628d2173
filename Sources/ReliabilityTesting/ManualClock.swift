public import ReliabilityCore

/// A clock that stands still until a test moves it, and on which a test can wait for sleepers.
///
/// ```swift
/// let clock = ManualClock()
/// async let result = RetryPolicy(RetryConfiguration(.idempotent), clock: clock).run { try await fetch() }
/// await clock.waitForSleepers(1)
/// clock.advance(by: .seconds(20))
/// ```
///
/// No test has to yield, poll or sleep for real: ``waitForSleepers(_:)`` returns when the sleepers are there.
public final class ManualClock: Clock, ExecutingClock, Sendable {
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

    private struct Sleeper {
        let id: UInt64
        let until: Instant
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct Waiter {
        let id: UInt64
        let count: Int
        let continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var now = Instant(nanoseconds: 0)
        var lastID: UInt64 = 0
        var sleepers: [Sleeper] = []
        /// Who was cancelled before it began to wait.
        var cancelled: Set<UInt64> = []
        var waiters: [Waiter] = []

        mutating func removeSatisfiedWaiters() -> [Waiter] {
            let count = sleepers.count
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
    public var now: Instant { state.withLock { $0.now } }

    /// One nanosecond.
    public var minimumResolution: Duration { .nanoseconds(1) }

    /// The number of tasks and timers that sleep on the clock.
    public var sleeperCount: Int { state.withLock { $0.sleepers.count } }

    /// How long until the first sleeper wakes; nil when none sleeps.
    public var timeToNextSleeper: Duration? {
        state.withLock { state in state.sleepers.map(\.until).min().map { state.now.duration(to: $0) } }
    }

    /// Suspends until the clock has been moved to the instant.
    ///
    /// - Parameters:
    ///   - deadline: When to wake.
    ///   - tolerance: Not used.
    /// - Throws: `CancellationError`, at once, when the task is cancelled.
    public func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        let id = newID()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let (result, waiters): (Result<Void, any Error>?, [Waiter]) = state.withLock { state in
                    if state.cancelled.remove(id) != nil { return (.failure(CancellationError()), []) }
                    if deadline <= state.now { return (.success(()), []) }
                    state.sleepers.append(Sleeper(id: id, until: deadline, continuation: continuation))
                    return (nil, state.removeSatisfiedWaiters())
                }
                if let result { continuation.resume(with: result) }
                for waiter in waiters { waiter.continuation.resume() }
            }
        } onCancel: {
            let sleeper = state.withLock { state -> Sleeper? in
                guard let index = state.sleepers.firstIndex(where: { $0.id == id }) else {
                    state.cancelled.insert(id)
                    return nil
                }
                return state.sleepers.remove(at: index)
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
        _ = state.withLock { $0.cancelled.remove(id) }
    }

    private func newID() -> UInt64 {
        state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
    }

    /// Moves the clock and wakes those who are due, the earliest first.
    ///
    /// All of them see the clock where it ends up. ``advanceToNextSleeper()`` stops on the way.
    ///
    /// - Parameter duration: How far; not negative.
    /// - Precondition: `duration` is not negative.
    public func advance(by duration: Duration) {
        precondition(duration >= .zero, "a manual clock moves forward only (by \(duration))")
        let due = state.withLock { state in
            state.now = state.now.advanced(by: duration)
            let now = state.now
            let due = state.sleepers.filter { $0.until <= now }
            state.sleepers.removeAll { $0.until <= now }
            return due.sorted { ($0.until, $0.id) < ($1.until, $1.id) }
        }
        for sleeper in due { sleeper.continuation.resume() }
    }

    /// Suspends until at least `count` tasks and timers sleep on the clock, or the task is cancelled.
    ///
    /// - Parameter count: How many.
    public func waitForSleepers(_ count: Int) async {
        let id = newID()
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.cancelled.remove(id) != nil || state.sleepers.count >= count { return true }
                    state.waiters.append(Waiter(id: id, count: count, continuation: continuation))
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state -> Waiter? in
                guard let index = state.waiters.firstIndex(where: { $0.id == id }) else {
                    state.cancelled.insert(id)
                    return nil
                }
                return state.waiters.remove(at: index)
            }
            waiter?.continuation.resume()
        }
        _ = state.withLock { $0.cancelled.remove(id) }
    }

    /// Waits for a sleeper, or for the task's cancellation, and moves the clock to the instant at which the first one wakes.
    public func advanceToNextSleeper() async {
        await waitForSleepers(1)
        if let wait = timeToNextSleeper { advance(by: max(.zero, wait)) }
    }
}
