#if LibPQ
internal import ReliabilityCore
internal import ReliabilityPostgres
internal import ReliabilityStore

/// Calls in the order of their arrival, which threads take.
final class CallQueue: @unchecked Sendable {
    // @unchecked Sendable: the properties are accessed only with the monitor locked.
    private let monitor = ThreadMonitor()
    private var calls: [Call] = []
    private var first = 0
    private var isClosed = false
    private var idleThreads = 0

    /// Adds a call and waits for its answer, its limit or the cancellation of the task.
    ///
    /// - Parameters:
    ///   - call: The call.
    ///   - onWaiting: Starts another thread. Called if no thread is idle.
    /// - Returns: The answer.
    /// - Throws: `ConnectionFailure`.
    func run(
        _ call: Call,
        onWaiting: @escaping @Sendable () -> Void = {}
    ) async throws(ConnectionFailure) -> PostgresReply {
        if Task.isCancelled { throw ConnectionFailure(isSent: false, "the task was cancelled") }
        let timer = TimeSource.continuous.timer(at: call.end) {
            call.abandon("the server did not answer within the time limit")
        }
        let answer = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                call.wait(continuation)
                add(call, onWaiting)
            }
        } onCancel: {
            call.abandon("the task was cancelled")
        }
        timer.cancel()
        return try answer.get()
    }

    private func add(_ call: Call, _ onWaiting: () -> Void) {
        monitor.lock()
        let isRejected = isClosed
        if !isRejected { calls.append(call) }
        let isWaiting = calls.count - first > idleThreads
        monitor.signal()
        monitor.unlock()
        if isRejected {
            call.fail("the connection is closed")
        } else if isWaiting {
            onWaiting()
        }
    }

    /// Waits for the next call whose caller has not left, or returns `nil` after the close.
    func next() -> Call? {
        monitor.lock()
        defer { monitor.unlock() }
        while true {
            while first < calls.count {
                let call = calls[first]
                first += 1
                if first > 64, first * 2 > calls.count {
                    calls.removeFirst(first)
                    first = 0
                }
                if !call.isResolved { return call }
            }
            calls.removeAll(keepingCapacity: true)
            first = 0
            if isClosed { return nil }
            idleThreads += 1
            monitor.wait(nanoseconds: nil)
            idleThreads -= 1
        }
    }

    /// Rejects all waiting calls and ends all waits of threads.
    func close() {
        monitor.lock()
        isClosed = true
        let waiting = Array(calls[first...])
        calls = []
        first = 0
        for _ in 0..<idleThreads { monitor.signal() }
        monitor.unlock()
        for call in waiting { call.fail("the connection is closed") }
    }
}
#endif
