/// One thread that runs short actions at their time.
///
/// A cancelled entry is removed and freed at once, where a cancelled `Task.sleep` is kept until its deadline.
/// Instants are readings of ``TimeSource/continuous``. They count system sleep; the thread's wait does not,
/// so after a system sleep an action can run late by as long as the system slept.
package final class DeadlineScheduler: @unchecked Sendable {
    // @unchecked Sendable: everything mutable is read and written with `monitor` locked only.

    /// The process's scheduler.
    package static let shared = DeadlineScheduler()

    /// A pending action.
    package final class Entry: @unchecked Sendable {
        // @unchecked Sendable: `position` and `action` belong to the scheduler and are protected by its monitor.
        fileprivate let instant: Int64
        fileprivate let sequence: UInt64
        fileprivate var position: Int?
        fileprivate var action: (@Sendable () -> Void)?

        fileprivate init(instant: Int64, sequence: UInt64, action: @escaping @Sendable () -> Void) {
            self.instant = instant
            self.sequence = sequence
            self.action = action
        }

        fileprivate func isBefore(_ other: Entry) -> Bool {
            instant != other.instant ? instant < other.instant : sequence < other.sequence
        }
    }

    private let monitor = ThreadMonitor()
    private var heap: [Entry] = []
    private var sequence: UInt64 = 0
    private var isStarted = false
    /// When the thread wakes next.
    ///
    /// It may wake for an entry that was cancelled meanwhile, so that arming and cancelling timers of one length wakes
    /// it once in that length, not once each.
    private var wakeAt = Int64.max

    /// The number of pending actions.
    package var pendingCount: Int {
        monitor.lock()
        defer { monitor.unlock() }
        return heap.count
    }

    /// Arms an action.
    ///
    /// Of two with the same instant, the one armed first runs first.
    package func schedule(at instant: Int64, _ action: @escaping @Sendable () -> Void) -> Entry {
        monitor.lock()
        defer { monitor.unlock() }
        sequence &+= 1
        let entry = Entry(instant: instant, sequence: sequence, action: action)
        entry.position = heap.count
        heap.append(entry)
        siftUp(heap.count - 1)
        if !isStarted {
            isStarted = true
            startThread { [self] in run() }
        } else if instant < wakeAt {
            wakeAt = instant
            monitor.signal()
        }
        return entry
    }

    /// Removes an action that has not started to run; nothing happens otherwise.
    package func cancel(_ entry: Entry) {
        monitor.lock()
        // Released after the unlock: freeing what the action captured is not our code.
        let action = entry.action
        entry.action = nil
        if let position = entry.position { remove(at: position) }
        monitor.unlock()
        withExtendedLifetime(action) {}
    }

    /// Suspends until the instant.
    ///
    /// - Throws: `CancellationError`, at once, when the task is cancelled.
    package func sleep(until instant: Int64) async throws {
        let sleeper = Sleeper()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                guard sleeper.start(continuation) else {
                    continuation.resume(throwing: CancellationError())
                    return
                }
                let entry = schedule(at: instant) { sleeper.finish(cancelled: false) }
                if sleeper.setEntry(entry) { cancel(entry) }
            }
        } onCancel: {
            if let entry = sleeper.finish(cancelled: true) { cancel(entry) }
        }
    }

    private func run() {
        monitor.lock()
        while true {
            let now = TimeSource.continuous.now
            guard let first = heap.first, first.instant <= now else {
                let next = heap.first?.instant ?? .max
                wakeAt = wakeAt <= now ? next : min(wakeAt, next)
                monitor.wait(nanoseconds: wakeAt == .max ? nil : wakeAt.saturatingSubtract(now))
                continue
            }
            remove(at: 0)
            var action = first.action
            first.action = nil
            monitor.unlock()
            action?()
            // Released before the lock is taken again: freeing what the action captured is not our code.
            action = nil
            monitor.lock()
        }
    }

    private func remove(at position: Int) {
        heap[position].position = nil
        let last = heap.removeLast()
        if position < heap.count {
            heap[position] = last
            last.position = position
            siftDown(position)
            if let moved = last.position { siftUp(moved) }
        }
    }

    private func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].isBefore(heap[parent]) else { return }
            swapEntries(child, parent)
            child = parent
        }
    }

    private func siftDown(_ start: Int) {
        var parent = start
        while true {
            var least = 2 * parent + 1
            guard least < heap.count else { return }
            if least + 1 < heap.count, heap[least + 1].isBefore(heap[least]) { least += 1 }
            guard heap[least].isBefore(heap[parent]) else { return }
            swapEntries(least, parent)
            parent = least
        }
    }

    private func swapEntries(_ first: Int, _ second: Int) {
        heap.swapAt(first, second)
        heap[first].position = first
        heap[second].position = second
    }
}

/// The meeting point of a sleeping task, its timer and its cancellation: whoever comes first resumes it.
final class Sleeper: Sendable {
    private struct State {
        var continuation: CheckedContinuation<Void, any Error>?
        var entry: DeadlineScheduler.Entry?
        var isFinished = false
    }
    private let state = Lock(State())

    /// False when the sleep was cancelled before it began.
    func start(_ continuation: CheckedContinuation<Void, any Error>) -> Bool {
        state.withLock { state in
            if state.isFinished { return false }
            state.continuation = continuation
            return true
        }
    }

    /// True when the sleep is over and the entry is to be cancelled.
    func setEntry(_ entry: DeadlineScheduler.Entry) -> Bool {
        state.withLock { state in
            if state.isFinished { return true }
            state.entry = entry
            return false
        }
    }

    @discardableResult
    func finish(cancelled: Bool) -> DeadlineScheduler.Entry? {
        let (continuation, entry) = state.withLock { state in
            state.isFinished = true
            defer {
                state.continuation = nil
                state.entry = nil
            }
            return (state.continuation, state.entry)
        }
        if cancelled { continuation?.resume(throwing: CancellationError()) } else { continuation?.resume() }
        return entry
    }
}
