/// A clock erased to what the library needs: a monotonic reading in nanoseconds, a sleep, and a timer.
///
/// Readings are nanoseconds since an origin of the source's own, so they are meaningful within one source only.
/// They never trap: a reading past ±292 years saturates.
@usableFromInline
package struct TimeSource: Sendable {
    /// Nil for `ContinuousClock`, which costs no more than its clock.
    @usableFromInline let erased: ErasedClock?

    @inlinable
    init(erased: ErasedClock?) { self.erased = erased }

    /// `ContinuousClock`, with sleeps and timers on the shared scheduler.
    @inlinable
    package static var continuous: TimeSource { TimeSource(erased: nil) }

    /// Erases `clock`; a `ContinuousClock` becomes ``continuous``.
    @inlinable
    package init<C: Clock<Duration>>(_ clock: C) {
        self.init(erased: C.self == ContinuousClock.self ? nil : ErasedClock.erase(clock))
    }

    /// Distinguishes sources whose readings cannot be compared.
    @inlinable
    package var identity: ObjectIdentifier? { erased.map { ObjectIdentifier($0) } }

    /// What unstructured tasks on behalf of this source run on; nil for the usual.
    package var taskExecutor: (any TaskExecutor)? { erased?.taskExecutor }

    /// The present reading in nanoseconds.
    @inlinable
    package var now: Int64 {
        if let erased { erased.now } else { continuousNanoseconds() }
    }

    /// The reading `duration` from now.
    @inlinable
    package func instant(after duration: Duration) -> Int64 {
        now.saturatingAdd(duration.saturatingNanoseconds)
    }

    /// Suspends until the reading is reached.
    ///
    /// - Throws: `CancellationError`, at once, when the task is cancelled.
    package func sleep(until instant: Int64) async throws {
        if let erased {
            try await erased.timers.sleep(until: instant)
        } else {
            try await DeadlineScheduler.shared.sleep(until: instant)
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

    /// Arms an entry; one that is armed already is moved.
    ///
    /// It runs on the scheduler's thread, or in the call that moves a manual clock. Where the instant has come already,
    /// that may be before this returns: no lock that it takes may be held.
    package func arm(_ entry: DeadlineScheduler.Entry, at instant: Int64) {
        if let erased {
            erased.timers.arm(entry, at: instant)
        } else {
            DeadlineScheduler.shared.arm(entry, at: instant)
        }
    }

    /// Removes an entry that was armed with this source.
    ///
    /// - Returns: Whether the entry was armed; then it does not run.
    @discardableResult
    package func cancel(_ entry: DeadlineScheduler.Entry) -> Bool {
        if let erased { erased.timers.cancel(entry) } else { DeadlineScheduler.shared.cancel(entry) }
    }

    /// Runs `action` when the reading is reached, unless the timer is cancelled before.
    ///
    /// `action` must be short: cancel a task, resume a continuation. As for an entry that is armed, it may run before
    /// this returns.
    package func timer(at instant: Int64, _ action: @escaping @Sendable () -> Void) -> Timer {
        let entry = ActionEntry(action)
        arm(entry, at: instant)
        return Timer(entry: entry, timeSource: self)
    }

    /// Runs `cancel`, which cancels a task, for a timer or for a caller who must not wait.
    ///
    /// The task's cancellation handlers are the user's and may block. The scheduler's thread is that of every deadline,
    /// and the threads of a clock that only sleeps are those that all tasks share. A clock that a test moves runs it in
    /// place.
    package func cancelFromTimer(_ cancel: @escaping @Sendable () -> Void) {
        if let erased, erased.isTimerClock { cancel() } else { CallbackPool.cancellations.run(cancel) }
    }

    /// A running timer.
    package struct Timer: Sendable {
        let entry: DeadlineScheduler.Entry
        let timeSource: TimeSource

        /// Stops the timer and frees what it holds, at once.
        ///
        /// Its action may be running already.
        package func cancel() { timeSource.cancel(entry) }
    }
}
