/// An answer of the server.
package enum RedisReply: Hashable, Sendable {
    case null
    case integer(Int64)
    case bytes([UInt8])
    case array([RedisReply])
    case error(String)
}

/// A failure of the way to the server.
///
/// An answer of the server is a reply, also if the answer is an error.
package struct ConnectionFailure: Error {
    /// A Boolean value that indicates whether the server may have received the command.
    package let isSent: Bool
    /// A description without credentials.
    package let explanation: String

    package init(isSent: Bool, _ explanation: String) {
        self.isSent = isSent
        self.explanation = explanation
    }
}

/// A connection to a Redis or Valkey server.
package protocol RedisConnection: Sendable {
    /// Sends a command once and waits for its reply.
    ///
    /// - Parameters:
    ///   - command: The command and its arguments.
    ///   - keys: The positions of the keys among the arguments, for a client that routes commands in a cluster.
    /// - Returns: The reply.
    /// - Throws: ``ConnectionFailure``.
    func send(_ command: [[UInt8]], keys: Range<Int>) async throws(ConnectionFailure) -> RedisReply

    /// Closes the connection.
    func close() async
}
