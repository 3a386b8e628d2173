/// A clock erased to what the library needs: a monotonic reading in nanoseconds, a sleep, and a timer.
///
/// Readings are nanoseconds since an origin of the source's own, so they are meaningful within one source only.
/// They never trap: a reading past ±292 years saturates.
package struct TimeSource: Sendable {
    private enum Kind: Sendable {
        case continuous
        case erased(
            now: @Sendable () -> Int64,
            sleep: @Sendable (_ until: Int64) async throws -> Void
        )
    }

    private let kind: Kind
    /// Distinguishes sources whose readings cannot be compared.
    package let identity: ObjectIdentifier?
    private let anchor: Anchor?

    private final class Anchor: Sendable {
        let taskExecutor: (any TaskExecutor)?
        init(_ taskExecutor: (any TaskExecutor)?) { self.taskExecutor = taskExecutor }
    }

    /// What unstructured tasks on behalf of this source run on; nil for the usual.
    package var taskExecutor: (any TaskExecutor)? { anchor?.taskExecutor }

    /// `ContinuousClock`, with sleeps and timers on the shared scheduler.
    package static let continuous = TimeSource()

    private init() {
        kind = .continuous
        identity = nil
        anchor = nil
    }

    /// Erases `clock`; a `ContinuousClock` becomes ``continuous``.
    package init<C: Clock<Duration>>(_ clock: C) {
        if clock is ContinuousClock {
            self = .continuous
            return
        }
        let origin = clock.now
        let anchor = Anchor((clock as? any ExecutingClock)?.taskExecutor)
        self.anchor = anchor
        identity = ObjectIdentifier(anchor)
        kind = .erased(
            now: { origin.duration(to: clock.now).saturatingNanoseconds },
            sleep: { until in
                // From the present reading: `origin + until` could overflow a clock's own instant. And from one reading:
                // a clock that moves between two would make the sleep longer by as much.
                let now = clock.now
                let wait = until.saturatingSubtract(origin.duration(to: now).saturatingNanoseconds)
                if wait > 0 {
                    try await clock.sleep(until: now.advanced(by: .nanoseconds(wait)), tolerance: nil)
                } else {
                    try Task.checkCancellation()
                }
            }
        )
    }

    /// The present reading in nanoseconds.
    package var now: Int64 {
        switch kind {
        case .continuous: continuousOrigin.duration(to: ContinuousClock.now).saturatingNanoseconds
        case .erased(let now, _): now()
        }
    }

    /// The reading `duration` from now.
    package func instant(after duration: Duration) -> Int64 {
        now.saturatingAdd(duration.saturatingNanoseconds)
    }

    /// Suspends until the reading is reached.
    ///
    /// - Throws: `CancellationError`, at once, when the task is cancelled.
    package func sleep(until instant: Int64) async throws {
        switch kind {
        case .continuous: try await DeadlineScheduler.shared.sleep(until: instant)
        case .erased(_, let sleep): try await sleep(instant)
        }
    }

    /// Suspends for a duration.
    ///
    /// - Throws: `CancellationError`, at once, when the task is cancelled.
    package func sleep(for duration: Duration) async throws {
        if duration <= .zero {
            try Task.checkCancellation()
        } else {
            try await sleep(until: instant(after: duration))
        }
    }

    /// Runs `action` when the reading is reached, unless the timer is cancelled before.
    ///
    /// `action` runs on the scheduler's thread and must be short: cancel a task, resume a continuation.
    package func timer(at instant: Int64, _ action: @escaping @Sendable () -> Void) -> Timer {
        switch kind {
        case .continuous:
            return .scheduled(DeadlineScheduler.shared.schedule(at: instant, action))
        case .erased(_, let sleep):
            return .task(
                Task.detached(executorPreference: taskExecutor) {
                    do { try await sleep(instant) } catch { return }
                    action()
                }
            )
        }
    }

    /// A running timer.
    package enum Timer: Sendable {
        case scheduled(DeadlineScheduler.Entry)
        case task(Task<Void, Never>)

        /// Stops the timer and frees what it holds, at once.
        ///
        /// Its action may be running already.
        package func cancel() {
            switch self {
            case .scheduled(let entry): DeadlineScheduler.shared.cancel(entry)
            case .task(let task): task.cancel()
            }
        }
    }
}

/// The instant from which ``TimeSource/continuous`` counts.
let continuousOrigin = ContinuousClock.now
