/// A clock erased to a monotonic reading in nanoseconds, a sleep and a timer.
///
/// Readings are nanoseconds since the source's own origin and are comparable within the source only. Readings never
/// trap. A reading beyond ±292 years saturates.
@usableFromInline
package struct TimeSource: Sendable {
    /// The erased clock, or `nil` for `ContinuousClock`, which needs no dynamic call.
    @usableFromInline let erased: ErasedClock?

    @inlinable
    init(erased: ErasedClock?) { self.erased = erased }

    /// The source of `ContinuousClock`, with sleeps and timers on the shared scheduler.
    @inlinable
    package static var continuous: TimeSource { TimeSource(erased: nil) }

    /// Erases a clock.
    ///
    /// `ContinuousClock` becomes ``continuous``.
    @inlinable
    package init<C: Clock<Duration>>(_ clock: C) {
        self.init(erased: C.self == ContinuousClock.self ? nil : ErasedClock.erase(clock))
    }

    /// The identity of the source.
    ///
    /// Readings of sources with different identities are not comparable.
    @inlinable
    package var identity: ObjectIdentifier? { erased.map { ObjectIdentifier($0) } }

    /// The executor for unstructured tasks started on behalf of this source, or `nil` for the default executor.
    package var taskExecutor: (any TaskExecutor)? { erased?.taskExecutor }

    /// The present reading in nanoseconds.
    @inlinable
    package var now: Int64 {
        if let erased { erased.now } else { continuousNanoseconds() }
    }

    /// Returns the reading after a duration from now.
    @inlinable
    package func instant(after duration: Duration) -> Int64 {
        now.saturatingAdd(duration.saturatingNanoseconds)
    }

    /// Suspends until the reading is reached.
    ///
    /// - Throws: `CancellationError` immediately if the task is cancelled.
    package func sleep(until instant: Int64) async throws {
        if let erased {
            try await erased.timers.sleep(until: instant)
        } else {
            try await DeadlineScheduler.shared.sleep(until: instant)
        }
    }

    /// Suspends for a duration.
    ///
    /// - Throws: `CancellationError` immediately if the task is cancelled.
    package func sleep(for duration: Duration) async throws {
        if duration <= .zero {
            try Task.checkCancellation()
        } else {
            try await sleep(until: instant(after: duration))
        }
    }

    /// Arms an entry or moves an armed entry.
    ///
    /// The entry runs on the scheduler's thread, or in the call that moves a manual clock. If the instant has already
    /// passed, the entry may run before this method returns.
    ///
    /// - Precondition: The caller holds no lock that the entry acquires.
    package func arm(_ entry: TimerEntry, at instant: Int64) {
        if let erased {
            erased.timers.arm(entry, at: instant)
        } else {
            DeadlineScheduler.shared.arm(entry, at: instant)
        }
    }

    /// Removes an entry that was armed with this source.
    ///
    /// - Returns: `true` if the entry was armed. The entry then does not run.
    @discardableResult
    package func cancel(_ entry: TimerEntry) -> Bool {
        if let erased { erased.timers.cancel(entry) } else { DeadlineScheduler.shared.cancel(entry) }
    }

    /// Starts a timer that runs an action at an instant.
    ///
    /// The action must be short, such as the cancellation of a task or the resumption of a continuation. The action may
    /// run before this method returns.
    package func timer(at instant: Int64, _ action: @escaping @Sendable () -> Void) -> Timer {
        let entry = ActionEntry(action)
        arm(entry, at: instant)
        return Timer(entry: entry, timeSource: self)
    }

    /// Cancels a task on behalf of a timer or of a caller that must not wait.
    ///
    /// A manual clock runs the cancellation in place. Other clocks run the cancellation on a thread of a separate pool.
    ///
    /// - Parameter cancel: Cancels the task.
    // Cancellation handlers are user code and may block. A handler must block neither the scheduler's thread, which
    // serves every deadline, nor the cooperative pool, on which the timers of other clocks run.
    package func cancelFromTimer(_ cancel: @escaping @Sendable () -> Void) {
        if let erased, erased.isTimerClock { cancel() } else { CallbackPool.cancellations.run(cancel) }
    }

    /// A running timer.
    package struct Timer: Sendable {
        let entry: TimerEntry
        let timeSource: TimeSource

        /// Stops the timer and frees its action immediately.
        ///
        /// The action may already be running.
        package func cancel() { timeSource.cancel(entry) }
    }
}
