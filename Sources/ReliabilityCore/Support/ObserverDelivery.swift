/// The delivery of events, reports and incidents to all observers of the process.
///
/// Observers run on threads of the library, possibly after the observed call has returned. At the end of a program,
/// ``flush(within:)`` delivers the remaining events:
///
/// ```swift
/// let isComplete = await ObserverDelivery.flush(within: .seconds(5))
/// ```
///
/// A bounded number of events waits for each observer. While that number waits, further events are dropped except the
/// latest. The observer receives the size of each gap. ``missedCount`` counts the dropped events of the whole process.
public enum ObserverDelivery {
    /// The number of events, reports and incidents dropped since the process started.
    ///
    /// A value above zero means that an observer blocks or is slower than its events arrive. Export the value as a
    /// metric.
    public static var missedCount: Int { ObserverQueues.shared.missedCount }

    /// Waits until the observers have returned from every event that was emitted before the call.
    ///
    /// The wait blocks no thread. Work that an observer starts elsewhere, such as a task or a write of a logging back
    /// end, is not included. Cancellation does not end the wait, because a shutdown often runs in a cancelled task.
    ///
    /// - Parameter limit: The longest wait. Defaults to 5 seconds.
    /// - Returns: `true` if every event was delivered within the limit.
    @discardableResult
    public static func flush(within limit: Duration = .seconds(5)) async -> Bool {
        let flush = ObserverFlush()
        return await withCheckedContinuation { flush.start($0, limit: limit) }
    }
}

/// The event queue of a single observer.
protocol ObserverQueue: AnyObject, Sendable {
    /// Registers a flush for the delivery of every event emitted so far.
    ///
    /// - Returns: `false` if every event has already been delivered. The flush is then not notified.
    func notify(_ flush: ObserverFlush) -> Bool
}

/// The queues with undelivered events.
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

/// A wait for the queues that had events at the start of the wait.
final class ObserverFlush: Sendable {
    private struct State {
        /// The number of queues with undelivered events, plus 1 until `start` has visited every queue.
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
