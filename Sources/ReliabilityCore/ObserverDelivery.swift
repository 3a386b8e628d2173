/// The delivery of events, records and incidents to the observers of the whole process.
///
/// Observers run on threads of the library, after the call that they observe may have returned. At the end of a program,
/// ``flush(within:)`` delivers the rest:
///
/// ```swift
/// await relay.drain()
/// await store.close()
/// await ObserverDelivery.flush()
/// ```
///
/// An observer that is slower than its events come keeps a bounded number of them waiting. Past that, events are dropped;
/// the latest one always arrives. The observer learns of the gap from the event in front of or behind it, and
/// ``missedCount`` counts the events that were dropped in the whole process.
public enum ObserverDelivery {
    /// The number of events, records and incidents that were dropped because their observer was too slow, since the
    /// process started.
    ///
    /// A figure above zero means that an observer blocks or is slower than its events come. Export it as a metric.
    public static var missedCount: Int { ObserverQueues.shared.missedCount }

    /// Waits until observers have returned from everything that was emitted before the call.
    ///
    /// It blocks no thread. Work that an observer starts elsewhere, such as a task or a write of a logging back end, is
    /// not waited for. Cancellation does not end the wait, because a shutdown is often a cancelled task. The limit does.
    ///
    /// - Parameter limit: The longest wait. Defaults to 5 seconds.
    /// - Returns: Whether everything was delivered within the limit.
    @discardableResult
    public static func flush(within limit: Duration = .seconds(5)) async -> Bool {
        let flush = ObserverFlush()
        return await withCheckedContinuation { flush.start($0, limit: limit) }
    }
}

/// A queue of one observer's events.
protocol ObserverQueue: AnyObject, Sendable {
    /// Has ``ObserverFlush/finishOne()`` called when everything emitted so far has been delivered.
    ///
    /// - Returns: False when that is so already.
    func notify(_ flush: ObserverFlush) -> Bool
}

/// The queues from which events are being delivered.
final class ObserverQueues: Sendable {
    static let shared = ObserverQueues()

    private struct State {
        var queues: [ObjectIdentifier: any ObserverQueue] = [:]
        var missedCount = 0
    }
    private let state = Lock(State())

    var all: [any ObserverQueue] { state.withLock { Array($0.queues.values) } }

    var missedCount: Int { state.withLock { $0.missedCount } }

    func add(_ queue: any ObserverQueue) { state.withLock { $0.queues[ObjectIdentifier(queue)] = queue } }

    func remove(_ queue: any ObserverQueue) { state.withLock { $0.queues[ObjectIdentifier(queue)] = nil } }

    func countMissed() { state.withLock { $0.missedCount += 1 } }
}

/// One wait for the queues that had events when it began.
final class ObserverFlush: Sendable {
    private struct State {
        /// One more than the queues that have not delivered, until `start` is through with them.
        var remaining = 1
        var continuation: CheckedContinuation<Bool, Never>?
        var timer: TimeSource.Timer?
    }
    private let state = Lock(State())

    func start(_ continuation: CheckedContinuation<Bool, Never>, limit: Duration) {
        state.withLock { $0.continuation = continuation }
        for queue in ObserverQueues.shared.all {
            state.withLock { $0.remaining += 1 }
            if !queue.notify(self) { finishOne() }
        }
        finishOne()
        let timeSource = TimeSource.continuous
        let timer = timeSource.timer(at: timeSource.instant(after: limit)) { self.end(false) }
        let isOver = state.withLock { state in
            if state.continuation != nil { state.timer = timer }
            return state.continuation == nil
        }
        if isOver { timer.cancel() }
    }

    func finishOne() {
        let isLast = state.withLock { state in
            state.remaining -= 1
            return state.remaining == 0
        }
        if isLast { end(true) }
    }

    private func end(_ isDelivered: Bool) {
        let (continuation, timer) = state.withLock { ($0.continuation.take(), $0.timer.take()) }
        timer?.cancel()
        continuation?.resume(returning: isDelivered)
    }
}
