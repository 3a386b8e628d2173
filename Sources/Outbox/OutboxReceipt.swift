public import ReliabilityCore
public import ReliabilityStore

/// The result of a commit with messages.
public struct OutboxReceipt: Hashable, Sendable {
    /// One element for each write: the version of the entry after it, or `nil` when there is none.
    public let versions: [StoreVersion?]
    /// One element for each message: ``ReliabilityStore/EnqueueResult/enqueued``, or
    /// ``ReliabilityStore/EnqueueResult/duplicate`` if the same message was pending already.
    public let messages: [EnqueueResult]
}
