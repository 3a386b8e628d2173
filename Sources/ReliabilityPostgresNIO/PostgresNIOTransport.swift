#if PostgresNIO
public import Logging
internal import ReliabilityCore
public import PostgresNIO
public import ReliabilityPostgres
public import ReliabilityStore

/// A way to a PostgreSQL server through the client of PostgresNIO.
///
/// A transport runs a client of its own, or uses a client of the program. A call leases a connection of the client's
/// pool. The time limit of a call includes the wait for the connection. A call that is cancelled or late closes its
/// connection, because PostgresNIO can neither cancel nor limit a statement.
public final class PostgresNIOTransport: PostgresTransport {
    /// The largest number of closed connections that a call tries.
    private static let maxLeases = 20

    private let client: PostgresClient
    /// The task that runs the client, or `nil` if the program runs the client.
    private let running: Task<Void, Never>?
    private let logger: Logger
    private let isClosed = Lock(false)
    private let isReplacing = Lock(false)

    private init(_ client: PostgresClient, isOwned: Bool, logger: Logger) {
        self.client = client
        self.logger = logger
        running = isOwned ? Task { await client.run() } : nil
    }

    deinit { running?.cancel() }

    /// Creates a transport over a client that the program runs.
    ///
    /// ``close()`` does not end the client. The sessions of the client need a `statement_timeout` below the time limit
    /// of the store. Otherwise a call that ends at the limit has an unknown outcome.
    ///
    /// - Parameters:
    ///   - client: The client. Its `run()` must be running.
    ///   - logger: The logger of statements. Defaults to no log.
    public convenience init(_ client: PostgresClient, logger: Logger? = nil) {
        self.init(client, isOwned: false, logger: logger ?? .silent)
    }

    /// Creates a client and runs the client until ``close()``.
    ///
    /// The call does not wait for a connection. The sessions have a `statement_timeout` of 2.5 seconds, a `lock_timeout`
    /// of 1 second, an `idle_in_transaction_session_timeout` of 10 seconds and the isolation `read committed`. Startup
    /// parameters of the configuration with the same names take precedence. A pooler such as PgBouncer may reject
    /// startup parameters. The program then creates the client and sets the parameters of the role.
    ///
    /// - Parameters:
    ///   - configuration: The address, the credentials, TLS and the pool.
    ///   - logger: The logger of the client and of statements. Defaults to no log.
    /// - Returns: The transport.
    public static func connect(
        _ configuration: PostgresClient.Configuration,
        logger: Logger? = nil
    ) -> PostgresNIOTransport {
        let logger = logger ?? .silent
        let client = PostgresClient(configuration: configuration.withServerLimits, backgroundLogger: logger)
        return PostgresNIOTransport(client, isOwned: true, logger: logger)
    }

    /// Sends a statement once and waits for its answer.
    public func query(
        _ sql: String,
        _ values: [PostgresValue],
        limit: Duration
    ) async throws(ConnectionFailure) -> PostgresReply {
        if isClosed.withLock({ $0 }) { throw ConnectionFailure(isSent: false, "the client was closed") }
        let query = PostgresQuery(sql, values)
        return try await PostgresCall.run(limit: limit) { [self, client, logger] call in
            // A cancelled call has closed its connection.
            defer { if Task.isCancelled { replaceConnection() } }
            // The pool may lease a connection whose end the pool has not seen yet.
            for _ in 0..<Self.maxLeases {
                do {
                    return try await client.withConnection { connection in
                        try await call.send(query, on: connection, logger: logger)
                    }
                } catch is PostgresCall.Unsent where !Task.isCancelled {
                    continue
                } catch {
                    if PostgresReply(error) == nil { replaceConnection() }
                    throw error
                }
            }
            throw PostgresCall.Unsent()
        }
    }

    /// Leases a connection in the place of a connection that was closed.
    ///
    /// The pool opens no connection for waiting calls when a connection closes. A further lease makes the pool open a
    /// connection, which then serves the first waiting call.
    private func replaceConnection() {
        let isFirst = isReplacing.withLock { isReplacing in
            defer { isReplacing = true }
            return !isReplacing
        }
        if !isFirst { return }
        Task { [client, weak self] in
            _ = try? await client.withConnection { _ in }
            self?.isReplacing.withLock { $0 = false }
        }
    }

    /// Closes the connections, unless the program runs the client.
    public func close() async {
        isClosed.withLock { $0 = true }
        running?.cancel()
        await running?.value
    }
}

extension PostgresClient.Configuration {
    /// The configuration with time limits of the server below the limit of a call.
    var withServerLimits: Self {
        var configuration = self
        let limits = [
            ("statement_timeout", "2500"), ("lock_timeout", "1000"), ("idle_in_transaction_session_timeout", "10000"),
            ("default_transaction_isolation", "read committed"),
        ]
        for limit in limits where !options.additionalStartupParameters.contains(where: { $0.0 == limit.0 }) {
            configuration.options.additionalStartupParameters.append(limit)
        }
        return configuration
    }
}

extension Logger {
    static var silent: Logger { Logger(label: "ReliabilityPostgresNIO") { _ in SwiftLogNoOpLogHandler() } }
}
#endif
