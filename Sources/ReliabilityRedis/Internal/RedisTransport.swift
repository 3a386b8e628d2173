public import ReliabilityStore

/// A way to a Redis or Valkey server.
///
/// The package has a transport over a socket. Other clients conform with a transport of their own.
public protocol RedisTransport: Sendable {
    /// Sends a command once and waits for its reply.
    ///
    /// - Parameters:
    ///   - command: The command and its arguments.
    ///   - keys: The positions of the keys in `command`, for a client that routes commands in a cluster.
    ///   - limit: The longest time for the call, including a wait for a connection.
    /// - Returns: The reply.
    /// - Throws: `ConnectionFailure` if no reply arrives.
    func send(
        _ command: [[UInt8]],
        keys: Range<Int>,
        limit: Duration
    ) async throws(ConnectionFailure) -> RedisReply

    /// Closes the connections.
    func close() async
}
