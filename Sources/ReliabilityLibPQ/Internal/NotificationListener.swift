#if LibPQ
internal import ReliabilityCore
internal import ReliabilityPostgres
internal import ReliabilityStore

/// A connection that receives the notifications of a channel, with a thread of its own.
final class NotificationListener: Sendable {
    private let channel: String
    private let receive: @Sendable (String?) -> Void
    private let signal: ThreadSignal
    private let state = Lock(Rendezvous<StoreError>())

    /// Creates a listener, or `nil` if the system has no file descriptors left.
    init?(_ channel: String, receive: @escaping @Sendable (String?) -> Void) {
        guard let signal = ThreadSignal() else { return nil }
        self.signal = signal
        self.channel = channel
        self.receive = receive
    }

    /// Waits until the listener ends.
    func wait() async -> StoreError {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in state.withLock { $0.wait(continuation) }?.resume() }
        } onCancel: {
            end(StoreError(.cancelled, "the task was cancelled"))
        }
    }

    /// Ends the listener and its thread.
    func end(_ error: StoreError) {
        guard let resumption = state.withLock({ $0.resolve(error) }) else { return }
        signal.send()
        resumption.resume()
    }

    private var isEnded: Bool { state.withLock { $0.isResolved } }

    private func wait(for duration: Duration) -> SocketWait {
        SocketWait(signal: signal, end: TimeSource.continuous.instant(after: duration)) { self.isEnded }
    }

    /// Receives notifications until the end, on the thread of the listener.
    func run(_ pool: ConnectionPool) {
        let (connection, opening) = pool.openConnection(wait(for: .seconds(3)))
        switch opening {
        case .opened: break
        case .rejected(let code): return end(StoreError(sqlState: code, isWrite: false))
        case .failed(let explanation): return end(StoreError(.unavailable, explanation))
        }
        if let error = begin(connection) { return end(error) }
        receive(nil)
        var isAlive = true
        while isAlive, !isEnded {
            for payload in connection.takeNotifications() { receive(payload) }
            let nextCheck = TimeSource.continuous.instant(after: pool.configuration.idleCheckInterval)
            switch signal.wait(socket: connection.socket, .reading, until: nextCheck) {
            case .ready: isAlive = connection.readInput()
            // A server that vanished sends nothing.
            case .elapsed: isAlive = connection.ping(wait(for: .seconds(3)))
            case .signalled: break
            }
        }
        end(Self.lost)
    }

    /// Registers the connection at the server.
    private func begin(_ connection: ServerConnection) -> StoreError? {
        // The connection runs `LISTEN` only without a pooler, because the next client of a pooled connection would
        // receive the notifications.
        guard case .success(let reply) = connection.query("SELECT pg_backend_pid()", [], wait(for: .seconds(3))) else {
            return Self.lost
        }
        if let code = reply.sqlState { return StoreError(sqlState: code, isWrite: false) }
        let own = connection.processNumber
        guard reply.rows.first?.first == (0..<4).map({ UInt8(truncatingIfNeeded: own >> (24 - 8 * $0)) }) else {
            return StoreError(
                .failed,
                "a pooler is between the client and the server, so there are no notifications and relays poll"
            )
        }
        let name = channel.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
        guard case .success(let answer) = connection.query("LISTEN \"\(name)\"", [], wait(for: .seconds(3))) else {
            return Self.lost
        }
        return answer.sqlState.map { StoreError(sqlState: $0, isWrite: false) }
    }

    private static let lost = StoreError(.unavailable, "the connection of the notifications was lost")
}
#endif
