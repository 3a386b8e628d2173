public import ReliabilityStore

/// A client of a Redis or Valkey server, which may be a single connection or a pool.
///
/// A service that already has a client conforms a type of its own to this protocol. The store does everything else: the
/// scripts, the meaning of replies and the recovery of the connection.
public protocol RedisTransport: Sendable {
    /// Sends a command once and waits for its reply.
    ///
    /// An implementation never sends a command again. An error of the server is a reply. If the task is cancelled, the
    /// call returns soon and its reply reaches no other call.
    ///
    /// - Parameters:
    ///   - command: The name of the command and its arguments, which are arbitrary bytes.
    ///   - keys: The positions of the keys in `command`, for a client that routes commands in a cluster.
    ///   - limit: The longest duration of the call, with the wait for a connection.
    /// - Returns: The reply.
    /// - Throws: `ConnectionFailure` if there is no reply.
    func send(_ command: [[UInt8]], keys: Range<Int>, limit: Duration) async throws(ConnectionFailure) -> RedisReply

    /// Closes the client and fails the calls under way.
    func close() async
}
