/// An answer of a Redis or Valkey server.
public enum RedisReply: Hashable, Sendable {
    /// No value.
    case null
    /// A number.
    case integer(Int64)
    /// The bytes of a text or a value.
    case bytes([UInt8])
    /// A list of answers.
    case array([RedisReply])
    /// An error of the server, with the text of the server.
    case error(String)
}
