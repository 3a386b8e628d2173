/// A single run of work for every call that joins it.
///
/// The work runs in a task of its own. The cancellation and the deadline of a call end only the wait of that call. The
/// work is cancelled when every call has left, unless the flight is held. No call can join a flight after
/// its work was cancelled.
///
/// The owner keeps the flight in a table. The owner removes the flight from the table before the flight ends, so that
/// an ended flight in a table is a flight that timed out. The work leaves its result in a place of the owner.
// The type is not generic, because metadata of generic types would be looked up at every use.
package final class Flight: Sendable {
    /// The end of a call's wait.
    package enum End: Sendable {
        /// The work has ended.
        case finished
        /// The owner ended the flight before the work.
        case cutOff
        /// The call was cancelled.
        case cancelled
        /// The deadline of the call passed.
        case deadline
        /// The call is part of the work that it would wait for.
        case recursive
    }

    private struct State {
        var machine: FlightStateMachine<FlightWaiter>
        var task: Task<Void, Never>?
        var priority: TaskPriority?
    }

    private let state: Lock<State>
    private let timeSource: TimeSource

    /// Creates a flight without work.
    ///
    /// - Parameters:
    ///   - timeSource: The clock of the calls' deadlines.
    ///   - isHeld: `true` if the work continues without a waiting call. Defaults to `false`.
    package init(timeSource: TimeSource, isHeld: Bool = false) {
        self.timeSource = timeSource
        state = Lock(State(machine: FlightStateMachine(isHeld: isHeld)))
    }

    /// Creates a flight that a call has joined.
    package static func joined(timeSource: TimeSource) -> (Flight, FlightWaiter) {
        let flight = Flight(timeSource: timeSource)
        let waiter = FlightWaiter(flight)
        flight.state.withLock { waiter.ticket = $0.machine.join(waiter) }
        return (flight, waiter)
    }

    /// A Boolean value that indicates whether the flight has a result or is abandoned.
    package var hasEnded: Bool { state.withLock { $0.machine.phase != .running } }

    /// A Boolean value that indicates whether every call has left before there was a result.
    package var isAbandoned: Bool { state.withLock { $0.machine.phase == .abandoned } }

    /// The number of waiting calls.
    package var waiting: Int { state.withLock { $0.machine.waiting } }

    // MARK: Calls

    /// Adds a call, which must then wait.
    ///
    /// The owner may hold the lock of its table.
    ///
    /// - Returns: The call, or `nil` if the flight is no longer running.
    package func join() -> FlightWaiter? {
        let waiter = FlightWaiter(self)
        return state.withLock { state in
            waiter.ticket = state.machine.join(waiter)
            return waiter.ticket == nil ? nil : waiter
        }
    }

    /// Waits for the result, the cancellation of the caller or the caller's deadline.
    ///
    /// - Parameter waiter: The call.
    /// - Returns: The end of the wait.
    nonisolated(nonsending) package func wait(_ waiter: FlightWaiter) async -> End {
        if let end = state.withLock({ _ in waiter.rendezvous.value }) { return end }
        // Work that waits for itself would never end.
        let outer = FlightGraph.current
        if let outer, !FlightGraph.addWait(of: outer, for: self) {
            // The other calls may have left in the meantime.
            leave(waiter, .recursive)?.cancel()
            return .recursive
        }
        defer { if let outer { FlightGraph.removeWait(of: outer, for: self) } }
        escalate(to: Task.currentPriority)
        let until = Deadline.current?.reading(of: timeSource, now: timeSource.now) ?? .max
        let end = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if until != .max { timeSource.arm(waiter, at: until) }
                let resumption = state.withLock { _ in waiter.rendezvous.wait(continuation) }
                // The wait may have ended before the timer was armed.
                if let resumption {
                    timeSource.cancel(waiter)
                    resumption.resume()
                }
            }
        } onCancel: {
            if let task = leave(waiter, .cancelled) { task.cancel() }
        }
        // The lock orders the accesses to the result of the work for the thread sanitizer.
        return state.withLock { _ in end }
    }

    /// Ends a wait at the deadline of the call.
    func expire(_ waiter: FlightWaiter) {
        if let task = leave(waiter, .deadline) { timeSource.cancelFromTimer { task.cancel() } }
    }

    /// Removes a call.
    ///
    /// - Returns: The task of the work if no call is left. The caller cancels the task.
    private func leave(_ waiter: FlightWaiter, _ end: End) -> Task<Void, Never>? {
        let (resumption, task) = state.withLock { state -> (Rendezvous<End>.Resumption?, Task<Void, Never>?) in
            guard let ticket = waiter.ticket.take() else { return (nil, nil) }
            // No call can join from now on, so the cancellation reaches no other call.
            let isAbandoned = state.machine.leave(ticket)
            return (waiter.rendezvous.resolve(end), isAbandoned ? state.task.take() : nil)
        }
        timeSource.cancel(waiter)
        resumption?.resume()
        return task
    }

    // MARK: Work

    /// Starts the work in a task of its own and in place.
    ///
    /// The work has the task-local values of the caller, without the context of the caller's call. See
    /// ``withoutCallContext(_:)``.
    ///
    /// - Parameter work: The work. The flight ends with the work, unless the flight ended earlier.
    package func start(_ work: @escaping @Sendable () async -> Void) {
        state.withLock { $0.priority = Task.currentPriority }
        let task = startTask(on: timeSource.taskExecutor) { [self] in
            await FlightGraph.$current.withValue(self) {
                await withoutCallContext { await work() }
            }
            end(.finished)
        }
        let isRunning = state.withLock { state in
            let isRunning = state.machine.phase == .running
            if isRunning { state.task = task }
            return isRunning
        }
        // The flight may have been abandoned during the part of the work that ran in place.
        if !isRunning { task.cancel() }
    }

    /// Ends the flight before its work has ended, and cancels the work.
    ///
    /// - Returns: `true` unless the flight has ended before.
    package func cutOff() -> Bool {
        let task = state.withLock { $0.task }
        guard end(.cutOff) else { return false }
        if let task { timeSource.cancelFromTimer { task.cancel() } }
        return true
    }

    /// Resumes every call.
    @discardableResult
    private func end(_ end: End) -> Bool {
        let (resumptions, waiters, task) = state.withLock { state in
            let waiters = state.machine.end()
            let resumptions = waiters?.map { waiter in
                waiter.ticket = nil
                return waiter.rendezvous.resolve(end)
            }
            return (resumptions, waiters, state.task.take())
        }
        // The task releases itself outside of the lock.
        withExtendedLifetime(task) {}
        for waiter in waiters ?? [] { timeSource.cancel(waiter) }
        for resumption in resumptions ?? [] { resumption?.resume() }
        return waiters != nil
    }

    /// Raises the priority of the work to the priority of a waiting task.
    private func escalate(to priority: TaskPriority) {
        let task = state.withLock { state -> Task<Void, Never>? in
            guard let present = state.priority, priority > present else { return nil }
            state.priority = priority
            return state.task
        }
        if #available(macOS 26, iOS 26, tvOS 26, watchOS 26, visionOS 26, *) { task?.escalatePriority(to: priority) }
    }
}
