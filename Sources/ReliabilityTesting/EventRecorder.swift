internal import ReliabilityCore

/// An observer that keeps events, on which a test can wait.
///
/// ```swift
/// let events = EventRecorder<RetryEvent>()
/// let retry = RetryPolicy(RetryConfiguration(.idempotent), observer: events.record)
/// …
/// let seen = await events.wait(for: 2)
/// ```
public final class EventRecorder<Event: Sendable>: Sendable {
    private struct State {
        var events: [Event] = []
        var waiters: [(id: Int, count: Int, continuation: CheckedContinuation<[Event], Never>)] = []
        var lastID = 0
        /// Who was cancelled before it began to wait.
        var cancelled: Set<Int> = []
    }
    private let state = Lock(State())

    /// Creates an empty recorder.
    public init() {}

    /// The events so far.
    public var events: [Event] { state.withLock { $0.events } }

    /// Keeps an event.
    ///
    /// - Parameter event: The event.
    @Sendable
    public func record(_ event: Event) {
        let (events, ready) = state.withLock { state in
            state.events.append(event)
            let count = state.events.count
            let ready = state.waiters.filter { $0.count <= count }.map(\.continuation)
            state.waiters.removeAll { $0.count <= count }
            return (state.events, ready)
        }
        for continuation in ready { continuation.resume(returning: events) }
    }

    /// Suspends until there are at least `count` events, or the task is cancelled.
    ///
    /// - Parameter count: How many.
    /// - Returns: All events so far; fewer than `count` only when the task was cancelled.
    @discardableResult
    public func wait(for count: Int) async -> [Event] {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        let events = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let events = state.withLock { state -> [Event]? in
                    if state.cancelled.remove(id) != nil || state.events.count >= count { return state.events }
                    state.waiters.append((id, count, continuation))
                    return nil
                }
                if let events { continuation.resume(returning: events) }
            }
        } onCancel: {
            let (waiter, events) = state.withLock { state in
                let index = state.waiters.firstIndex { $0.id == id }
                if index == nil { state.cancelled.insert(id) }
                return (index.map { state.waiters.remove(at: $0).continuation }, state.events)
            }
            waiter?.resume(returning: events)
        }
        _ = state.withLock { $0.cancelled.remove(id) }
        return events
    }
}
