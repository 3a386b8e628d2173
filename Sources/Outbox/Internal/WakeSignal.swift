internal import ReliabilityCore

/// A signal that wakes a relay's loops; one that comes between looking and waiting is not lost.
final class WakeSignal: Sendable {
    private struct State {
        var count: UInt64 = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Lock(State())

    /// The number of signals so far: the value to pass to ``wait(after:until:timeSource:)``, read before looking.
    var count: UInt64 { state.withLock { $0.count } }

    /// Wakes everyone who waits.
    func send() {
        let waiting = state.withLock { state in
            state.count &+= 1
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Suspends until there is a signal after `count`, the instant is reached, or the task is cancelled.
    func wait(after count: UInt64, until instant: Int64?, timeSource: TimeSource) async {
        let timer = instant.map { timeSource.timer(at: $0) { self.send() } }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let hasCome = state.withLock { state in
                    if state.count != count { return true }
                    state.waiting.append(continuation)
                    return false
                }
                if hasCome { continuation.resume() }
            }
        } onCancel: {
            send()
        }
        timer?.cancel()
    }
}
