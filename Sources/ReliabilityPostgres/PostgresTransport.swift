public import ReliabilityStore

/// A client of a PostgreSQL server that runs single statements.
///
/// A service that already has a client of PostgreSQL implements the protocol over that client. The trait `LibPQ` has an
/// implementation over libpq. A store needs no session: two statements may run on two connections.
public protocol PostgresTransport: Sendable {
    /// The hosts and ports or the socket, and the database, or `nil` if the client does not know the server.
    ///
    /// The address has no credentials, because errors contain the address. Defaults to `nil`.
    var serverAddress: String? { get }

    /// Sends a statement once and waits for its answer.
    ///
    /// The statement has placeholders such as `$1`. Arguments and results are in the binary format. An error of the
    /// server is a reply. A call in a cancelled task returns promptly. A connection with a pending answer is never used
    /// for another statement.
    ///
    /// - Parameters:
    ///   - sql: The text of the statement.
    ///   - values: The arguments.
    ///   - limit: The longest time of the call, which includes the wait for a connection.
    /// - Returns: The answer.
    /// - Throws: `ConnectionFailure` if there is no answer. Its `isSent` is `false` only if the statement certainly did
    ///   not run.
    func query(
        _ sql: String,
        _ values: [PostgresValue],
        limit: Duration
    ) async throws(ConnectionFailure) -> PostgresReply

    /// Receives the notifications of a channel on a connection that runs nothing else.
    ///
    /// The call returns after the cancellation of the task and ends when the client is closed. Defaults to an error with
    /// the reason `failed`.
    ///
    /// - Parameters:
    ///   - channel: The name of the channel.
    ///   - receive: Receives `nil` when the listening has begun, and then the payload of each notification.
    /// - Throws: `StoreError` with the reason `unavailable` if the connection is not opened or lost, or with the reason
    ///   `failed` if the client or a pooler cannot receive notifications.
    func listen(
        _ channel: String,
        receive: @escaping @Sendable (_ payload: String?) -> Void
    ) async throws(StoreError)

    /// Closes the connections.
    func close() async
}

extension PostgresTransport {
    /// An unknown address.
    public var serverAddress: String? { nil }

    /// Reports that the client receives no notifications.
    public func listen(
        _ channel: String,
        receive: @escaping @Sendable (_ payload: String?) -> Void
    ) async throws(StoreError) {
        throw StoreError(.failed, "the client does not receive notifications")
    }
}
