internal import ReliabilityCore

/// A service with a few workers and a queue without a limit, which works on every call to its end.
///
/// The gateway does not notice that a caller has left. Under more load than it bears, it therefore works on calls whose
/// callers have left.
final class StormGateway<C: Clock<Duration> & Sendable>: Sendable {
    private struct State {
        var busy = 0
        var queue: [CheckedContinuation<Void, Never>] = []
        /// The number of calls at the start of `queue` that have begun.
        var begun = 0
    }

    private let workers: Int
    private let clock: C
    private let spawn: @Sendable (@escaping @Sendable () async -> Void) -> Void
    private let state = Lock(State())

    init(workers: Int, clock: C, spawn: @escaping @Sendable (@escaping @Sendable () async -> Void) -> Void) {
        self.workers = workers
        self.clock = clock
        self.spawn = spawn
    }

    /// Serves a call, or returns when the caller is cancelled while the call is served nevertheless.
    func serve(for duration: Duration) async throws {
        let answer = StormAnswer()
        spawn { [self] in
            await begin()
            try? await clock.sleep(for: duration)
            end()
            answer.arrive()
        }
        await answer.wait()
        try Task.checkCancellation()
    }

    private func begin() async {
        await withCheckedContinuation { continuation in
            let canBegin = state.withLock { state in
                if state.busy < workers {
                    state.busy += 1
                    return true
                }
                state.queue.append(continuation)
                return false
            }
            if canBegin { continuation.resume() }
        }
    }

    private func end() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            if state.begun == state.queue.count {
                state.busy -= 1
                return nil
            }
            state.begun += 1
            let next = state.queue[state.begun - 1]
            if state.begun > 1000 {
                state.queue.removeFirst(state.begun)
                state.begun = 0
            }
            return next
        }
        next?.resume()
    }
}

/// The answer to a call, or the end of the wait for the answer.
private final class StormAnswer: Sendable {
    private let rendezvous = Lock(Rendezvous<Bool>())

    func arrive() { rendezvous.withLock { $0.resolve(true) }?.resume() }

    func wait() async {
        await withTaskCancellationHandler {
            _ = await withCheckedContinuation { continuation in
                rendezvous.withLock { $0.wait(continuation) }?.resume()
            }
        } onCancel: {
            rendezvous.withLock { $0.resolve(false) }?.resume()
        }
    }
}
