internal import ReliabilityCore
internal import ReliabilityStore

/// The client for calls while the server is ready.
final class PostgresReadiness: Sendable {
    // A generic type of another module would not be specialized, and each call would look its metadata up.
    private let lease = Lock<ConnectionSupervisor<any PostgresTransport>.Lease?>(nil)

    var current: ConnectionSupervisor<any PostgresTransport>.Lease? { lease.withLock { $0 } }

    func use(_ lease: ConnectionSupervisor<any PostgresTransport>.Lease?) { self.lease.withLock { $0 = lease } }
}

/// Runs statements on a client of the server and translates failures.
///
/// Every call of a store passes through this class.
final class PostgresCommands: Sendable {
    /// The client of the calls.
    enum Client: Sendable {
        /// A client whose server is checked.
        case fixed(any PostgresTransport)
        /// The present client of a store in use.
        case supervised(ConnectionSupervisor<any PostgresTransport>, PostgresReadiness)
    }

    /// The largest number of attempts of a statement that a conflict ended.
    static let maxAttempts = 3

    private let client: Client
    private let timeout: Duration
    private let timeSource: TimeSource
    private let randomness: RandomSource
    private let waiting = WaitingCalls()

    init(
        _ client: Client,
        timeout: Duration,
        timeSource: TimeSource = .continuous,
        randomness: RandomSource = RandomSource(SystemRandomNumberGenerator())
    ) {
        self.client = client
        self.timeout = timeout
        self.timeSource = timeSource
        self.randomness = randomness
    }

    /// Runs a statement that changes nothing.
    func read(_ sql: String, _ values: [PostgresValue]) async throws(StoreError) -> [[[UInt8]?]] {
        try await run(sql, values, isWrite: false)
    }

    /// Runs a statement that may change something.
    ///
    /// The statement is sent again only after an answer that the statement had no effect.
    func write(_ sql: String, _ values: [PostgresValue]) async throws(StoreError) -> [[[UInt8]?]] {
        if Task.isCancelled { throw StoreError(.cancelled, "the task was cancelled before the write") }
        return try await run(sql, values, isWrite: true)
    }

    /// The time of a call, which the caller's deadline shortens.
    func limit() throws(StoreError) -> Duration {
        let limit = min(timeout, Deadline.current?.remaining ?? timeout)
        guard limit > .zero else {
            throw StoreError(.unavailable, "the caller's deadline passed before the store was called")
        }
        return limit
    }

    private func run(
        _ sql: String,
        _ values: [PostgresValue],
        isWrite: Bool
    ) async throws(StoreError) -> [[[UInt8]?]] {
        let (transport, lease) = try present()
        let limit = try limit()
        defer { waiting.end() }
        try waiting.begin()
        let end = timeSource.instant(after: limit)
        var remaining = limit
        var attempt = 1
        while true {
            let reply: PostgresReply
            do throws(StoreError) {
                reply = try await Self.query(transport, sql, values, isWrite: isWrite, limit: remaining)
            } catch {
                // A short limit of the caller is no evidence, and neither is the caller's cancellation.
                if CancellationCause.current != .caller, limit >= timeout / 10 { report(error, lease, isLost: false) }
                throw error
            }
            guard let code = reply.sqlState else { return reply.rows }
            let failure = ServerError(code, isWrite: isWrite)
            let error = failure.storeError(code, isOpening: lease == nil)
            if failure.isOfServer { report(error, lease, isLost: failure.reaction == .replaceClient) }
            let attempts = failure.reaction.attempts
            // From 1 ms to 20 ms before the second attempt and to 40 ms before the third.
            let pause = Duration.nanoseconds(1_000_000 + randomness.next(upTo: 19_000_000 * Int64(attempt)))
            attempt += 1
            guard attempt <= attempts else { throw error }
            remaining = .nanoseconds(end.saturatingSubtract(timeSource.instant(after: pause)))
            guard remaining > .zero, (try? await timeSource.sleep(for: pause)) != nil else { throw error }
        }
    }

    /// Returns the present client, or throws while the server is not ready.
    func present() throws(StoreError) -> (
        transport: any PostgresTransport, lease: ConnectionSupervisor<any PostgresTransport>.Lease?
    ) {
        switch client {
        case .fixed(let transport): return (transport, nil)
        case .supervised(let supervisor, let readiness):
            guard let lease = readiness.current else { throw supervisor.rejection() }
            return (lease.client, lease)
        }
    }

    private func report(
        _ error: StoreError,
        _ lease: ConnectionSupervisor<any PostgresTransport>.Lease?,
        isLost: Bool
    ) {
        guard case .supervised(let supervisor, _) = client, let lease else { return }
        if isLost { supervisor.lost(lease, error) } else { supervisor.failed(lease, error) }
    }

    /// Sends a statement once.
    static func query(
        _ transport: any PostgresTransport,
        _ sql: String,
        _ values: [PostgresValue],
        isWrite: Bool,
        limit: Duration
    ) async throws(StoreError) -> PostgresReply {
        do throws(ConnectionFailure) {
            return try await transport.query(sql, values, limit: limit)
        } catch {
            let reason: StoreError.Reason =
                isWrite && error.isSent ? .unknownOutcome : Task.isCancelled ? .cancelled : .unavailable
            throw StoreError(reason, error.explanation, underlyingError: error)
        }
    }
}

extension ServerError.Reaction {
    /// The largest number of attempts with an error of this kind.
    var attempts: Int {
        switch self {
        case .none, .replaceClient: 1
        case .tryAgain: PostgresCommands.maxAttempts
        case .tryAgainElsewhere: 2
        }
    }
}
