/// One delivery of a message.
public struct OutboxDelivery: Hashable, Sendable {
    /// The message.
    public let message: OutboxMessage
    /// Which delivery this is, from 1.
    ///
    /// From 2 on, an earlier one may have had its effect: it failed without our knowledge of how far it came, or the
    /// process ended before it could say.
    public let attempt: Int
}
