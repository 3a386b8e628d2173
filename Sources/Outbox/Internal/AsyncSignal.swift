internal import ReliabilityCore

/// A signal that wakes the loops of a relay.
///
/// A signal that is sent between a check and a wait is not lost.
final class AsyncSignal: Sendable {
    private struct State {
        var count: UInt64 = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Lock(State())

    /// The number of signals.
    ///
    /// Read the number before a check, and pass it to ``wait(after:until:timeSource:)``.
    var count: UInt64 { state.withLock { $0.count } }

    /// Resumes every waiting task.
    func send() {
        let waiting = state.withLock { state in
            state.count &+= 1
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Suspends until a signal after `count`, the instant, or the cancellation of the task.
    func wait(after count: UInt64, until instant: Int64?, timeSource: TimeSource) async {
        let timer = instant.map { timeSource.timer(at: $0) { self.send() } }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isSent = state.withLock { state in
                    if state.count != count { return true }
                    state.waiting.append(continuation)
                    return false
                }
                if isSent { continuation.resume() }
            }
        } onCancel: {
            send()
        }
        timer?.cancel()
    }
}
