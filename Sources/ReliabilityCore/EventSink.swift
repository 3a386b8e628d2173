/// Hands events to an optional observer, in order, outside every lock, without making the call wait.
///
/// Without an observer, ``emit(_:)`` is one nil check. With one, it appends to a queue that a thread of the library's
/// empties, so an observer may be slow, block, or call back into the policy. Behind those that it is being told, at most
/// 4,096 events wait; past that, new ones are dropped until there is room.
package struct EventSink<Event: Sendable>: Sendable {
    private let queue: EventQueue<Event>?

    /// Creates a sink for an observer, or one that discards everything.
    package init(_ observer: (@Sendable (Event) -> Void)?) {
        queue = observer.map(EventQueue.init)
    }

    /// Queues an event.
    ///
    /// It is safe to call with a lock of ours held: the observer never runs in it.
    package func emit(_ event: @autoclosure () -> Event) {
        guard let queue else { return }
        queue.append(event())
    }
}

private final class EventQueue<Event: Sendable>: Sendable {
    private struct State {
        var pending: [Event] = []
        var isDraining = false
    }
    private let state = Lock(State())
    private let observer: @Sendable (Event) -> Void

    init(observer: @escaping @Sendable (Event) -> Void) { self.observer = observer }

    func append(_ event: Event) {
        let mustStart = state.withLock { state in
            if state.pending.count < 4096 { state.pending.append(event) }
            if state.isDraining { return false }
            state.isDraining = true
            return true
        }
        if mustStart { CallbackThread.observers.run { [self] in drain() } }
    }

    /// Tells the observer what waits, and comes again after the other queues' turns.
    private func drain() {
        let batch = state.withLock { state in
            let batch = state.pending
            state.pending = []
            if batch.isEmpty { state.isDraining = false }
            return batch
        }
        if batch.isEmpty { return }
        for event in batch { observer(event) }
        CallbackThread.observers.run { [self] in drain() }
    }
}
