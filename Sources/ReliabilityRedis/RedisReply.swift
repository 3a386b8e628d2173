/// A reply of a Redis or Valkey server.
public enum RedisReply: Hashable, Sendable {
    /// No value.
    case null
    /// A number.
    case integer(Int64)
    /// A string of bytes or a status.
    case bytes([UInt8])
    /// Several replies in their order.
    case array([RedisReply])
    /// An error with its code and text.
    case error(String)
}
