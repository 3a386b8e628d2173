internal import ReliabilityCore

/// What wakes a relay's loop: a ring between looking and waiting is not lost.
final class Doorbell: Sendable {
    private struct State {
        var rings: UInt64 = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Lock(State())

    /// How often it was rung: what to pass to ``wait(after:until:timeSource:)``, read before looking.
    var rings: UInt64 { state.withLock { $0.rings } }

    /// Wakes everyone who waits.
    func ring() {
        let waiting = state.withLock { state in
            state.rings &+= 1
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Suspends until it is rung after `rings`, the instant is reached, or the task is cancelled.
    func wait(after rings: UInt64, until instant: Int64?, timeSource: TimeSource) async {
        let timer = instant.map { timeSource.timer(at: $0) { self.ring() } }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let hasRung = state.withLock { state in
                    if state.rings != rings { return true }
                    state.waiting.append(continuation)
                    return false
                }
                if hasRung { continuation.resume() }
            }
        } onCancel: {
            ring()
        }
        timer?.cancel()
    }
}
