#if PostgresNIO
public import Logging
public import PostgresNIO
public import ReliabilityPostgres
public import ReliabilityStore

/// A single connection of PostgresNIO, such as a connection in a transaction of the program.
///
/// A call that is cancelled or late closes the connection, which ends the transaction without a commit.
public struct PostgresConnectionTransport: PostgresTransport {
    private let connection: PostgresConnection
    private let logger: Logger

    /// Creates a transport over a connection that the program owns.
    ///
    /// - Parameters:
    ///   - connection: The connection.
    ///   - logger: The logger of statements. Defaults to no log.
    public init(_ connection: PostgresConnection, logger: Logger? = nil) {
        self.connection = connection
        self.logger = logger ?? .silent
    }

    /// Sends a statement once and waits for its answer.
    public func query(
        _ sql: String,
        _ values: [PostgresValue],
        limit: Duration
    ) async throws(ConnectionFailure) -> PostgresReply {
        let query = PostgresQuery(sql, values)
        return try await PostgresCall.run(limit: limit) { [connection, logger] call in
            try await call.send(query, on: connection, logger: logger)
        }
    }

    /// Does nothing, because the program owns the connection.
    public func close() async {}
}
#endif
