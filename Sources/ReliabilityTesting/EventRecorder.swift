internal import ReliabilityCore

/// An observer that stores events and lets a test wait for events.
///
/// ```swift
/// let bank = ScriptedDependency([.zero: .failing()], clock: ManualClock())
/// let events = EventRecorder<BreakerEvent>()
/// let breaker = Breaker(.consecutiveFailures(3), observer: events.record)
/// for _ in 0..<3 { try? await breaker.run { try await bank.call() } }
/// #expect(await events.wait(for: 1) == [.opened(generation: 2, for: .seconds(30))])
/// ```
public final class EventRecorder<Event: Sendable>: Sendable {
    private struct State {
        var events: [Event] = []
        var waiters: [(id: Int, count: Int, continuation: CheckedContinuation<[Event], Never>)] = []
        var lastID = 0
        /// The waits that were cancelled before they began.
        var cancelled: Set<Int> = []
    }
    private let state = Lock(State())

    /// Creates an empty recorder.
    public init() {}

    /// The events so far in the order of their arrival.
    public var events: [Event] { state.withLock { $0.events } }

    /// Records an event and resumes the waits that this event completes.
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

    /// Suspends until at least `count` events are recorded or the task is cancelled.
    ///
    /// - Parameter count: The number of events.
    /// - Returns: All events so far. The array has fewer than `count` events only if the task was cancelled.
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
