#if LibPQ
internal import ReliabilityCore
internal import ReliabilityPostgres
internal import ReliabilityStore

/// A statement of a caller, from its arrival to its answer, or the lease of a session.
final class Call: Sendable {
    typealias Answer = Result<PostgresReply, ConnectionFailure>

    private struct State {
        var rendezvous = Rendezvous<Answer>()
        var isSent = false
        /// The signal of the thread that serves the call.
        var signal: ThreadSignal?
    }

    let sql: String
    let values: [PostgresValue]
    /// The end of the call, in nanoseconds of the continuous clock.
    let end: Int64
    /// The session to serve, or `nil` for a statement.
    let session: LibPQSession?
    private let state = Lock(State())

    init(_ sql: String, _ values: [PostgresValue], limit: Duration, session: LibPQSession? = nil) {
        self.sql = sql
        self.values = values
        self.session = session
        end = TimeSource.continuous.instant(after: limit)
    }

    var isResolved: Bool { state.withLock { $0.rendezvous.isResolved } }

    func wait(_ continuation: CheckedContinuation<Answer, Never>) {
        state.withLock { $0.rendezvous.wait(continuation) }?.resume()
    }

    /// Attaches the thread that serves the call, unless the caller has left.
    func begin(_ signal: ThreadSignal) -> Bool {
        state.withLock { state in
            state.signal = signal
            return !state.rendezvous.isResolved
        }
    }

    /// Records that the statement is about to leave, unless the caller has left.
    func beginSending() -> Bool {
        state.withLock { state in
            if state.rendezvous.isResolved { return false }
            state.isSent = true
            return true
        }
    }

    func finish(_ answer: Answer) {
        let resumption = state.withLock { state in
            state.signal = nil
            return state.rendezvous.resolve(answer)
        }
        resumption?.resume()
    }

    func fail(_ explanation: String) {
        let isSent = state.withLock { $0.isSent }
        finish(.failure(ConnectionFailure(isSent: isSent, explanation)))
    }

    /// Resumes the caller, and wakes the thread so that the thread closes its connection.
    func abandon(_ explanation: String) {
        let (resumption, signal) = state.withLock { state in
            let failure = ConnectionFailure(isSent: state.isSent, explanation)
            return (state.rendezvous.resolve(.failure(failure)), state.signal)
        }
        guard let resumption else { return }
        signal?.send()
        resumption.resume()
    }
}
#endif
