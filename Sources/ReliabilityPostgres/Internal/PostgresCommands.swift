internal import ReliabilityCore
internal import ReliabilityStore

/// Runs statements on a transport and translates failures.
///
/// Every call of a store passes through this class.
final class PostgresCommands: Sendable {
    /// The largest number of attempts of a statement that a conflict ended.
    static let maxAttempts = 3

    let transport: any PostgresTransport
    private let timeout: Duration
    private let timeSource: TimeSource
    private let randomness: RandomSource
    /// Receives each failure after which the connections must be replaced.
    private let onLostServer: @Sendable (StoreError) -> Void

    init(
        _ transport: any PostgresTransport,
        timeout: Duration,
        timeSource: TimeSource = .continuous,
        randomness: RandomSource = RandomSource(SystemRandomNumberGenerator()),
        onLostServer: @escaping @Sendable (StoreError) -> Void = { _ in }
    ) {
        self.transport = transport
        self.timeout = timeout
        self.timeSource = timeSource
        self.randomness = randomness
        self.onLostServer = onLostServer
    }

    func close() async { await transport.close() }

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
        let limit = try limit()
        let end = timeSource.instant(after: limit)
        var remaining = limit
        var attempt = 1
        while true {
            let reply = try await Self.query(transport, sql, values, isWrite: isWrite, limit: remaining)
            guard let code = reply.sqlState else { return reply.rows }
            let failure = ServerError(code, isWrite: isWrite)
            let error = failure.storeError(code)
            if failure.reaction == .reconnect { onLostServer(error) }
            let attempts = failure.reaction.attempts
            // From 1 ms to 20 ms before the second attempt and to 40 ms before the third.
            let pause = Duration.nanoseconds(1_000_000 + randomness.next(upTo: 19_000_000 * Int64(attempt)))
            attempt += 1
            guard attempt <= attempts else { throw error }
            remaining = .nanoseconds(end.saturatingSubtract(timeSource.instant(after: pause)))
            guard remaining > .zero, (try? await timeSource.sleep(for: pause)) != nil else { throw error }
        }
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
        case .none, .reconnect: 1
        case .tryAgain: PostgresCommands.maxAttempts
        case .tryAgainElsewhere: 2
        }
    }
}
