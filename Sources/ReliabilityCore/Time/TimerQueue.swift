/// A queue that runs entries at their instants.
package protocol TimerQueue: AnyObject, Sendable {
    /// Arms an entry or moves an armed entry.
    ///
    /// The entry may run before this method returns.
    ///
    /// - Precondition: The caller holds no lock that the entry acquires.
    func arm(_ entry: TimerEntry, at instant: Int64)

    /// Removes an entry.
    ///
    /// - Returns: `true` if the entry was armed. The entry then does not run.
    @discardableResult
    func cancel(_ entry: TimerEntry) -> Bool

    /// Suspends until the instant.
    ///
    /// - Throws: `CancellationError` immediately if the task is cancelled.
    func sleep(until instant: Int64) async throws
}

extension TimerQueue {
    /// Arms an action and returns its entry.
    package func schedule(at instant: Int64, _ action: @escaping @Sendable () -> Void) -> TimerEntry {
        let entry = ActionEntry(action)
        arm(entry, at: instant)
        return entry
    }

    /// Suspends until the instant.
    ///
    /// - Throws: `CancellationError` immediately if the task is cancelled.
    package func sleep(until instant: Int64) async throws { try await sleep(until: instant, onWake: nil) }

    /// Suspends until the instant.
    ///
    /// - Parameters:
    ///   - instant: The instant at which the task resumes.
    ///   - onWake: Runs on the resuming thread before the task is resumed.
    /// - Throws: `CancellationError` immediately if the task is cancelled.
    package func sleep(until instant: Int64, onWake: (@Sendable () -> Void)?) async throws {
        let sleeper = Sleeper(onWake)
        try await withTaskCancellationHandler {
            let end = await withCheckedContinuation { continuation in
                guard sleeper.start(continuation) else { return }
                let entry = schedule(at: instant) { sleeper.finish(.elapsed) }
                if sleeper.setEntry(entry) { cancel(entry) }
            }
            if end == .cancelled { throw CancellationError() }
        } onCancel: {
            if let entry = sleeper.finish(.cancelled) { cancel(entry) }
        }
    }
}

/// A clock whose timers need no task of their own.
package protocol TimerClock: Clock<Duration>, TimerQueue {
    /// The executor for unstructured tasks started on behalf of this clock, or `nil` for the default executor.
    ///
    /// An unstructured task does not inherit its creator's preferred executor. A simulation, which runs all tasks on a
    /// single thread, supplies its executor through the clock.
    var taskExecutor: (any TaskExecutor)? { get }

    /// The present reading in nanoseconds.
    ///
    /// Readings are comparable with the instants of ``TimerQueue/arm(_:at:)``.
    var reading: Int64 { get }
}
