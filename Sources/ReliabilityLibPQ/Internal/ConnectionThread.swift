#if LibPQ
internal import ReliabilityCore
internal import ReliabilityPostgres
internal import ReliabilityStore

/// The thread of a connection.
///
/// All methods run on the thread.
final class ConnectionThread {
    private let pool: ConnectionPool
    private let signal: ThreadSignal
    private var connection: ServerConnection?
    private var generation = 0
    private var lastUse: Int64 = 0

    init?(_ pool: ConnectionPool) {
        guard let signal = ThreadSignal() else { return nil }
        self.pool = pool
        self.signal = signal
    }

    /// Serves a statement or a session.
    func serve(_ call: Call) {
        guard call.begin(signal) else { return }
        switch readyConnection(wait(for: call)) {
        case .failure(let failure): call.finish(failure.answer)
        case .success(let connection):
            guard let session = call.session else {
                serve(call, on: connection)
                return
            }
            call.finish(.success(PostgresReply()))
            serve(session, on: connection)
        }
    }

    private func serve(_ call: Call, on connection: ServerConnection) {
        guard call.beginSending() else { return }
        // A pooler in transaction mode may run the next statement on another connection of the server.
        let prepares = pool.configuration.serverLimits != nil
        let answer = connection.query(call.sql, call.values, prepares: prepares, wait(for: call))
        lastUse = continuousNanoseconds()
        if case .success(let reply) = answer, let code = reply.sqlState {
            // A server that rejects writes is not the primary any more, and no statement succeeds on a prepared
            // statement of another time.
            if code == "25006" { pool.replaceConnections() }
            if ["25006", "57P01", "57P02", "57P03", "26000", "0A000"].contains(code) { drop() }
        }
        if !connection.isUsable { drop() }
        switch answer {
        case .success(let reply): call.finish(.success(reply))
        case .failure(let failure): call.finish(.failure(failure))
        }
    }

    /// Serves the calls of a session until the session ends.
    private func serve(_ session: LibPQSession, on connection: ServerConnection) {
        while let call = session.queue.next() {
            guard self.connection === connection else {
                call.fail("the connection of the session was lost")
                continue
            }
            guard call.begin(signal), call.beginSending() else { continue }
            let answer = connection.query(call.sql, call.values, wait(for: call))
            session.record(transactionFailed: connection.isInFailedTransaction)
            if !connection.isUsable { drop() }
            call.finish(answer)
        }
        guard self.connection === connection else { return }
        // The settings of the session must not reach the next caller.
        let wait = SocketWait(signal: signal, end: TimeSource.continuous.instant(after: .seconds(1)))
        if !connection.isIdle || !connection.discardState(wait) { drop() }
        lastUse = continuousNanoseconds()
    }

    private func wait(for call: Call) -> SocketWait {
        SocketWait(signal: signal, end: call.end) { call.isResolved }
    }

    private func drop() { connection = nil }

    /// A failure before a statement was sent.
    private enum OpeningFailure: Error {
        /// The server rejected the connection with this code.
        case rejected(String)
        case failed(String)

        var answer: Call.Answer {
            switch self {
            case .rejected(let code): .success(PostgresReply(sqlState: code, message: "the connection was rejected"))
            case .failed(let explanation): .failure(ConnectionFailure(isSent: false, explanation))
            }
        }
    }

    /// The connection, opened or checked if necessary.
    private func readyConnection(_ wait: SocketWait) -> Result<ServerConnection, OpeningFailure> {
        let current = pool.generation
        if generation != current { drop() }
        if let connection, connection.isAlive, isFresh || connection.ping(wait) {
            return .success(connection)
        }
        drop()
        generation = current
        let (connection, opening) = pool.openConnection(wait)
        switch opening {
        case .opened:
            self.connection = connection
            lastUse = continuousNanoseconds()
            return .success(connection)
        case .rejected(let code): return .failure(.rejected(code))
        case .failed(let explanation): return .failure(.failed(explanation))
        }
    }

    private var isFresh: Bool {
        continuousNanoseconds().saturatingSubtract(lastUse) < pool.configuration.idleCheckInterval.saturatingNanoseconds
    }
}
#endif
