/// Delivers events to an optional observer in order and outside every lock.
///
/// Without an observer, ``emit(_:)`` is a `nil` check. With an observer, ``emit(_:)`` appends the event to a queue and
/// a thread of the library delivers the queue. An observer may be slow, block or call back into the policy. An observer
/// that blocks delays the events of its own sink only.
///
/// While the observer runs, at most `capacity` events wait, followed by the latest event. All other events are dropped
/// and counted. After a gap, the observer receives the result of `missed` for the count and the latest event. Memory
/// stays bounded. The observer always receives the latest event and the size of every gap.
package struct EventSink<Event: Sendable>: Sendable {
    private let queue: EventQueue<Event>?
    /// The function that forwards to another sink's queue.
    private let forward: (@Sendable (Event) -> (any Sendable)?)?

    /// Creates a sink.
    ///
    /// - Parameters:
    ///   - observer: The observer, or `nil` to discard every event.
    ///   - capacity: The number of events that wait while the observer runs. Defaults to 4,096.
    ///   - missed: Returns the events to deliver for a number of dropped events and the event that followed the gap.
    ///     The result must contain that event.
    package init(
        _ observer: (@Sendable (Event) -> Void)?,
        capacity: Int = 4096,
        missed: @escaping @Sendable (_ count: Int, _ next: Event) -> [Event]
    ) {
        queue = observer.map { EventQueue(observer: $0, capacity: capacity, missed: missed) }
        forward = nil
    }

    /// Returns a sink that forwards each event to this sink's queue.
    ///
    /// - Parameter transform: Converts an event to an event of this sink.
    /// - Returns: The forwarding sink.
    package func map<Inner: Sendable>(_ transform: @escaping @Sendable (Inner) -> Event) -> EventSink<Inner> {
        if !hasObserver { return EventSink<Inner>(forwarding: nil) }
        return EventSink<Inner>(forwarding: { emitUnderLock(transform($0)) })
    }

    private init(forwarding forward: (@Sendable (Event) -> (any Sendable)?)?) {
        queue = nil
        self.forward = forward
    }

    /// A Boolean value that indicates whether there is an observer.
    package var hasObserver: Bool { queue != nil || forward != nil }

    /// Queues an event.
    ///
    /// A caller that holds a lock of this library calls ``emitUnderLock(_:)`` instead.
    package func emit(_ event: @autoclosure () -> Event) { _ = emitUnderLock(event()) }

    /// Queues an event for a caller that holds a lock of this library.
    ///
    /// The observer never runs in this call. The release of a dropped event can run user code, such as the
    /// deinitializer of an error. The caller releases the dropped event after its lock.
    ///
    /// - Parameter event: The event. Not evaluated without an observer.
    /// - Returns: The event that was dropped instead, or `nil` if no event was dropped.
    package func emitUnderLock(_ event: @autoclosure () -> Event) -> (any Sendable)? {
        if let queue { queue.append(event()) } else { forward?(event()) }
    }
}

extension EventSink where Event: ObservedEvent {
    /// Creates a sink.
    ///
    /// - Parameter observer: The observer, or `nil` to discard every event.
    package init(_ observer: (@Sendable (Event) -> Void)?) {
        self.init(observer, missed: { [.missed(count: $0), $1] })
    }
}

/// An event type with an event for a gap.
package protocol ObservedEvent: Sendable {
    /// Returns the event for a number of dropped events.
    ///
    /// The returned event precedes the event after the gap.
    static func missed(count: Int) -> Self
}

/// An event that also appears in the report of a call.
package protocol TracedEvent: ObservedEvent {
    /// The step in the call's report, or `nil` if the event does not appear there.
    var step: CallStep? { get }
}

extension EventSink where Event: TracedEvent {
    /// Queues an event and records the event's step in the report of the current call.
    ///
    /// - Parameters:
    ///   - event: The event.
    ///   - trace: The trace of the call. Defaults to the trace of the current task.
    package func report(_ event: @autoclosure () -> Event, in trace: CallTrace? = .current) {
        if !hasObserver, trace == nil { return }
        let event = event()
        emit(event)
        if let step = event.step { trace?.record(step) }
    }
}

private final class EventQueue<Event: Sendable>: ObserverQueue {
    private struct State {
        var pending: [Event] = []
        /// The latest event if `pending` is full.
        var latest: Event?
        /// The number of events dropped between `pending` and `latest`.
        var missed = 0
        var isDelivering = false
        /// The number of emitted events, including dropped events.
        var emitted: UInt64 = 0
        var delivered: UInt64 = 0
        var flushes: [(end: UInt64, flush: ObserverFlush)] = []
    }

    private let state = Lock(State())
    private let observer: @Sendable (Event) -> Void
    private let capacity: Int
    private let missed: @Sendable (Int, Event) -> [Event]

    init(
        observer: @escaping @Sendable (Event) -> Void,
        capacity: Int,
        missed: @escaping @Sendable (Int, Event) -> [Event]
    ) {
        self.observer = observer
        self.capacity = capacity
        self.missed = missed
    }

    /// Adds an event and returns the dropped event, or `nil` if no event was dropped.
    func append(_ event: Event) -> Event? {
        let (mustStart, dropped) = state.withLock { state -> (Bool, Event?) in
            var dropped: Event?
            state.emitted += 1
            if state.pending.count < capacity {
                state.pending.append(event)
            } else {
                dropped = state.latest
                state.latest = event
                if dropped != nil { state.missed += 1 }
            }
            if state.isDelivering { return (false, dropped) }
            state.isDelivering = true
            // Under the lock, so that a queue that becomes idle and then busy is registered last.
            ObserverQueues.shared.add(self)
            return (true, dropped)
        }
        if dropped != nil { ObserverQueues.shared.countMissed() }
        if mustStart { CallbackPool.observers.run { [self] in deliver() } }
        return dropped
    }

    func notify(_ flush: ObserverFlush) -> Bool {
        state.withLock { state in
            if state.delivered == state.emitted { return false }
            state.flushes.append((state.emitted, flush))
            return true
        }
    }

    private func deliver() {
        while let batch = nextBatch() {
            for event in batch.pending { observer(event) }
            if let latest = batch.latest {
                let events = batch.missed > 0 ? missed(batch.missed, latest) : [latest]
                for event in events { observer(event) }
            }
            let flushes = state.withLock { state in
                state.delivered = batch.emitted
                let flushes = state.flushes.prefix { $0.end <= batch.emitted }
                state.flushes.removeFirst(flushes.count)
                return flushes
            }
            for (_, flush) in flushes { flush.finishOne() }
        }
    }

    /// Removes and returns the waiting events, or ends the delivery and returns `nil` if no event waits.
    private func nextBatch() -> State? {
        state.withLock { state in
            if state.pending.isEmpty {
                state.isDelivering = false
                ObserverQueues.shared.remove(self)
                return nil
            }
            let batch = state
            state.pending = []
            state.latest = nil
            state.missed = 0
            return batch
        }
    }
}
