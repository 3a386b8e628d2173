/// Hands events to an optional observer, in order, outside every lock, without making the call wait.
///
/// Without an observer, ``emit(_:)`` is one nil check. With one, it appends to a queue that a thread of the library
/// empties, so an observer may be slow, block, or call back into the policy. An observer that blocks delays the events of
/// its own sink only.
///
/// While the observer runs, `capacity` events wait, and behind them the latest event. An event that is neither is dropped
/// and counted: in front of the latest event, the observer gets what `missed` makes of the count. Memory stays bounded,
/// and the observer always gets the latest event and always learns of a gap.
package struct EventSink<Event: Sendable>: Sendable {
    private let queue: EventQueue<Event>?

    /// Creates a sink for an observer, or one that discards everything.
    ///
    /// - Parameters:
    ///   - observer: The observer.
    ///   - capacity: The number of events that wait while the observer runs.
    ///   - missed: The events to deliver for a number of dropped events and the event that came after them, which must
    ///     be among them.
    package init(
        _ observer: (@Sendable (Event) -> Void)?,
        capacity: Int = 4096,
        missed: @escaping @Sendable (_ count: Int, _ next: Event) -> [Event]
    ) {
        queue = observer.map { EventQueue(observer: $0, capacity: capacity, missed: missed) }
    }

    /// Queues an event.
    ///
    /// It is safe to call with a lock of ours held: the observer never runs in it.
    package func emit(_ event: @autoclosure () -> Event) {
        guard let queue else { return }
        queue.append(event())
    }
}

extension EventSink where Event: ObservedEvent {
    /// Creates a sink for an observer, or one that discards everything.
    package init(_ observer: (@Sendable (Event) -> Void)?) {
        self.init(observer, missed: { [.missed(count: $0), $1] })
    }
}

/// An event type that can say that events are missing.
package protocol ObservedEvent: Sendable {
    /// The event that stands for a number of dropped events, in front of the one that came after them.
    static func missed(count: Int) -> Self
}

private final class EventQueue<Event: Sendable>: ObserverQueue {
    private struct State {
        var pending: [Event] = []
        /// The latest event, where `pending` has no room for it.
        var latest: Event?
        /// How many events were dropped between `pending` and `latest`.
        var missed = 0
        var isDelivering = false
        /// The number of events that have been emitted, dropped ones included.
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

    func append(_ event: Event) {
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
            // Under the lock, so that a queue that becomes idle and busy again is registered in the end.
            ObserverQueues.shared.add(self)
            return (true, dropped)
        }
        // `dropped` is freed here: that is not our code, and does not belong under the lock.
        if dropped != nil { ObserverQueues.shared.countMissed() }
        if mustStart { CallbackPool.observers.run { [self] in deliver() } }
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

    /// Takes the events that wait; without one, the delivery has ended.
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
