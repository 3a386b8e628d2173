internal import ReliabilityCore
internal import ReliabilityStore

/// A command on its way, with the timer of its caller's limit.
final class SocketCall: TimerEntry, @unchecked Sendable {
    // @unchecked Sendable: the connection sets `start` and `sentAt` before another thread can find the call. The lock
    // protects `state`.

    typealias Reply = Result<RedisReply, ConnectionFailure>

    // The state is a type of its own: a generic type of another module would not be specialized, and each call would
    // look its metadata up.
    private struct State {
        /// The caller, or `nil` before the caller waits and after the end of the wait.
        var continuation: CheckedContinuation<Reply, Never>?
        /// The end of the wait, or `nil` while the caller waits.
        var reply: Reply?
        /// A Boolean value that indicates whether the command may be sent.
        var isAdmitted = false
        /// A Boolean value that indicates whether the caller's limit has a timer.
        var hasTimer = false
    }

    /// The position of the command's first byte among all bytes of the connection.
    var start: UInt64 = 0
    var sentAt: Int64 = 0
    private let state = Lock(State())

    /// Stores the continuation of the caller.
    ///
    /// - Returns: `false` if the caller has left and the command must not be sent.
    func begin(_ continuation: CheckedContinuation<Reply, Never>) -> Bool {
        let reply = state.withLock { state -> Reply? in
            if state.reply == nil {
                state.continuation = continuation
                state.isAdmitted = true
            }
            return state.reply
        }
        guard let reply else { return true }
        continuation.resume(returning: reply)
        return false
    }

    /// Resumes the caller, unless the caller has left.
    func finish(_ reply: Reply) { finish { _ in reply } }

    /// Resumes the caller without a reply.
    ///
    /// The server may receive the command if the command may be sent.
    func leave(_ explanation: String) {
        finish { .failure(ConnectionFailure(isSent: $0.isAdmitted, explanation)) }
    }

    private func finish(_ reply: (State) -> Reply) {
        let (continuation, hasTimer, reply) = state.withLock { state in
            if let reply = state.reply { return (nil as CheckedContinuation<Reply, Never>?, false, reply) }
            let reply = reply(state)
            state.reply = reply
            return (state.continuation.take(), state.hasTimer, reply)
        }
        if hasTimer { TimeSource.continuous.cancel(self) }
        continuation?.resume(returning: reply)
    }

    /// Resumes the caller of a command that was not sent.
    func reject(_ explanation: String) { finish(.failure(ConnectionFailure(isSent: false, explanation))) }

    /// Limits the wait of the caller.
    func arm(at instant: Int64) {
        state.withLock { $0.hasTimer = true }
        TimeSource.continuous.arm(self, at: instant)
        // The reply may have come before the timer was armed.
        if state.withLock({ $0.reply != nil }) { TimeSource.continuous.cancel(self) }
    }

    override func fire() { leave("the server did not reply within the caller's limit") }
}
