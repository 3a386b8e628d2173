/// A delivery of a message.
public struct OutboxDelivery: Hashable, Sendable {
    /// The message.
    public let message: OutboxMessage
    /// The number of the delivery among those that count, from 1.
    ///
    /// The number is for logs. It does not identify the first delivery. A postponed or released delivery does not
    /// count. A redrive starts at 1 again. A consumer recognizes a repetition by ``OutboxMessage/id``.
    public let attempt: Int
}
