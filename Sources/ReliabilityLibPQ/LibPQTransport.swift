#if LibPQ
internal import ReliabilityCore
public import ReliabilityPostgres
public import ReliabilityStore

/// A pool of connections to a PostgreSQL server over libpq.
///
/// Each connection has a thread. No call blocks a thread of the cooperative pool. A connection is opened when a call
/// needs the connection. Calls that wait for a connection are served in the order of their arrival. The wait counts
/// towards the limit of a call.
///
/// A call that is cancelled or exceeds its limit returns immediately. Its connection is closed, and the server ends the
/// statement.
///
/// ```swift
/// import ReliabilityLibPQ
/// import ReliabilityPostgres
///
/// let store = try await PostgresStore {
///     try LibPQTransport("postgres://shop:secret@db.internal/shop")
/// }
/// ```
///
/// No description, error or event contains the user or the password. Errors of a store contain ``serverAddress``.
public final class LibPQTransport: PostgresTransport, CustomStringConvertible, CustomReflectable {
    private let pool: ConnectionPool
    /// The hosts and ports or the sockets, and the database.
    ///
    /// The user and the password are not part of the address. A text with unusual characters is left out.
    public let serverAddress: String?

    /// Creates a pool without a connection.
    ///
    /// - Parameters:
    ///   - address: A URL such as `postgres://user:password@host:port/database`, or a text of libpq such as
    ///     `host=/run/postgresql dbname=shop`. With several hosts, the connections go to the primary.
    ///   - configuration: The settings of the connections. Defaults to 8 connections.
    /// - Throws: `StoreError` with the reason `invalid` for an address that libpq cannot parse, or with a port that is
    ///     no number.
    /// - Precondition: `maxConnections` is at least 1.
    public init(_ address: String, configuration: Configuration = Configuration()) throws(StoreError) {
        requireValid(
            configuration.maxConnections >= 1,
            "maxConnections must be at least 1 (is \(configuration.maxConnections))"
        )
        let parameters = try ConnectionParameters(address, serverLimits: configuration.serverLimits)
        serverAddress = parameters.address
        pool = ConnectionPool(parameters, configuration: configuration)
    }

    deinit { pool.close() }

    /// Runs a statement on any connection.
    public func query(
        _ sql: String,
        _ values: [PostgresValue],
        limit: Duration
    ) async throws(ConnectionFailure) -> PostgresReply {
        try await pool.run(Call(sql, values, limit: limit))
    }

    /// Receives the notifications of a channel on a connection and a thread of their own.
    ///
    /// A pooler such as PgBouncer does not pass notifications on. The call then throws an error with the reason `failed`.
    public func listen(
        _ channel: String,
        receive: @escaping @Sendable (_ payload: String?) -> Void
    ) async throws(StoreError) {
        try await pool.listen(channel, receive: receive)
    }

    /// Closes all connections and rejects waiting calls.
    ///
    /// The method returns when all threads have ended, after the limits of the running calls and the ends of all
    /// sessions.
    public func close() async { await pool.closeAndWait() }

    /// Runs an operation with a connection of its own.
    ///
    /// After the operation, the connection returns to the pool without its session state. A connection with an open
    /// transaction is closed, which rolls the transaction back.
    ///
    /// - Parameters:
    ///   - limit: The longest wait for the connection. Defaults to 3 seconds.
    ///   - operation: The operation.
    /// - Returns: The value of the operation.
    /// - Throws: `ConnectionFailure` if there is no connection, or the error of the operation.
    @discardableResult
    public func withSession<Success>(
        limit: Duration = .seconds(3),
        _ operation: (LibPQSession) async throws -> Success
    ) async throws -> Success {
        let session = LibPQSession()
        let lease = Call("", [], limit: limit, session: session)
        defer { session.end() }
        _ = try await pool.run(lease)
        return try await operation(session)
    }

    /// The name of the type, without the address.
    public var description: String { "LibPQTransport" }
    /// A mirror without children, so that no dump contains the password.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
#endif
