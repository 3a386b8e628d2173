public import ReliabilityStore

/// The result of a commit with messages.
public struct OutboxReceipt: Hashable, Sendable {
    /// The version of each written entry after the commit, or `nil` if there is no entry.
    ///
    /// The versions have the order of the writes.
    public let versions: [StoreVersion?]
    /// The result for each message in the order of the messages.
    ///
    /// A message is `enqueued` or a `duplicate` of a pending message.
    public let results: [EnqueueResult]
}
