public import ReliabilityCore

/// The places of a bulkhead, with the lock and the clock.
@usableFromInline
final class BulkheadPlaces: AdmissionLimit, Sendable {
    private typealias State = BulkheadStateMachine<BulkheadWaiter>

    private let state: Lock<State>
    private let timeSource: TimeSource
    private let events: EventSink<BulkheadEvent>

    init(_ configuration: BulkheadPolicy.Configuration, timeSource: TimeSource, events: EventSink<BulkheadEvent>) {
        state = Lock(State(configuration))
        self.timeSource = timeSource
        self.events = events
    }

    var configuration: BulkheadPolicy.Configuration { state.withLock { $0.configuration } }
    var snapshot: BulkheadSnapshot { state.withLock { BulkheadSnapshot($0) } }

    // MARK: Admission

    /// The beginning of a call whose duration is not measured.
    static var unmeasured: Int64 { .min }

    /// Admits a call without a wait.
    ///
    /// - Returns: The reading at the beginning or ``unmeasured``, or `nil` if the call has to wait.
    @usableFromInline
    func tryAdmit() -> Int64? {
        let needsDuration = state.withLock { state in state.tryAdmit() ? state.needsDuration : nil }
        guard let needsDuration else { return nil }
        return needsDuration ? timeSource.now : Self.unmeasured
    }

    /// Waits for a place.
    ///
    /// - Returns: The reading at the beginning of the call.
    /// - Throws: `BulkheadError` if the call is rejected, or `CancellationError` if the task is cancelled.
    @usableFromInline
    nonisolated(nonsending) func waitForPlace(_ priority: CallPriority?, _ tenant: String?) async throws -> Int64 {
        try Task.checkCancellation()
        let priority = priority ?? .current
        let waiter = BulkheadWaiter(self)
        let now = timeSource.now
        let deadline = Deadline.current?.reading(of: timeSource, now: now) ?? .max
        let (arrival, displaced) = state.withLock { state in
            let (arrival, displaced) = state.arrive(waiter, priority, of: tenant, deadline: deadline, now: now)
            if case .waits(let ticket, _) = arrival { waiter.ticket = ticket }
            return (arrival, displaced.map { resolve($0) })
        }
        if let displaced { resume(displaced) }
        switch arrival {
        case .admitted: return now
        case .rejected(let error): throw reported(error)
        case .waits(_, let until): return try await wait(waiter, until: until)
        }
    }

    nonisolated(nonsending) private func wait(_ waiter: BulkheadWaiter, until: Int64) async throws -> Int64 {
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
            cancel(waiter)
        }
        switch end {
        case .cancelled: throw CancellationError()
        case .verdict(.rejected(let error)): throw reported(error)
        case .verdict(.admitted(let waited)):
            CallTrace.current?.record(.queued(.nanoseconds(waited)))
            let now = timeSource.now
            if Task.isCancelled {
                self.end(.ignored, start: now)
                throw CancellationError()
            }
            return now
        }
    }

    private func reported(_ error: BulkheadError) -> BulkheadError {
        events.emit(.rejected(error))
        CallTrace.current?.record(.rejected(error))
        return error
    }

    // MARK: End

    /// Ends a call and gives its place to the next call.
    ///
    /// - Parameters:
    ///   - outcome: The outcome of the call.
    ///   - start: The reading at the beginning, or ``unmeasured``.
    @usableFromInline
    func end(_ outcome: Outcome, start: Int64) {
        if start == Self.unmeasured {
            let hasWaiters = state.withLock { state in
                state.release()
                return state.waiting > 0
            }
            if hasWaiters { update { _ in false } }
            return
        }
        let now = timeSource.now
        update(at: now) { state in
            let hasChanged = state.record(outcome, duration: now.saturatingSubtract(start), now: now)
            state.release()
            return hasChanged
        }
    }

    package func occupy() { state.withLock { $0.occupy() } }

    package func vacate() { end(.ignored, start: Self.unmeasured) }

    func reload(_ configuration: BulkheadPolicy.Configuration) { update { $0.reload(configuration) } }

    /// Changes the state and gives free places to waiting calls.
    ///
    /// - Parameters:
    ///   - now: The time, or `nil` to read the clock.
    ///   - change: The change. Returns `true` if the limit has changed.
    private func update(at now: Int64? = nil, _ change: (inout State) -> Bool) {
        let now = now ?? timeSource.now
        let (ended, _) = state.withLock { state -> (EndedWaits, (any Sendable)?) in
            // Under the lock, to queue events in the order of the changes.
            let dropped = change(&state) ? events.emitUnderLock(.limitChanged(state.limit)) : nil
            var ended = EndedWaits()
            state.fill(now: now) { ended.append(resolve($0)) }
            return (ended, dropped)
        }
        ended.forEach(resume)
    }

    // MARK: Waits

    /// Ends a wait at its longest time.
    func expire(_ waiter: BulkheadWaiter) {
        let ended = state.withLock { state in
            waiter.ticket.take().flatMap { state.expire($0) }.map { resolve($0) }
        }
        ended?.resumption?.resume()
    }

    private func cancel(_ waiter: BulkheadWaiter) {
        let resumption = state.withLock { state in
            guard let ticket = waiter.ticket.take(), state.cancel(ticket) else {
                return nil as Rendezvous<BulkheadWaiter.End>.Resumption?
            }
            return waiter.rendezvous.resolve(.cancelled)
        }
        timeSource.cancel(waiter)
        resumption?.resume()
    }

    /// A wait that has ended, for the time after the lock.
    private struct EndedWait: Sendable {
        let waiter: BulkheadWaiter
        let resumption: Rendezvous<BulkheadWaiter.End>.Resumption?
    }

    /// The ended waits of one step, mostly one.
    private struct EndedWaits: Sendable {
        private var first: EndedWait?
        private var others: [EndedWait] = []

        mutating func append(_ wait: EndedWait) {
            if first == nil { first = wait } else { others.append(wait) }
        }

        func forEach(_ body: (EndedWait) -> Void) {
            if let first { body(first) }
            others.forEach(body)
        }
    }

    /// Resolves a wait under the lock.
    private func resolve(_ resumption: State.Resumption) -> EndedWait {
        resumption.waiter.ticket = nil
        return EndedWait(
            waiter: resumption.waiter,
            resumption: resumption.waiter.rendezvous.resolve(.verdict(resumption.verdict))
        )
    }

    private func resume(_ wait: EndedWait) {
        timeSource.cancel(wait.waiter)
        wait.resumption?.resume()
    }
}
