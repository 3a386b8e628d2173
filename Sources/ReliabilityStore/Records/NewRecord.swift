/// A record to enqueue.
public struct NewRecord: Hashable, Sendable {
    /// The queue.
    public var queue: QueueName
    /// The record's identity in its queue.
    ///
    /// At most one record of the queue has an identity at any time. Dead letters count. The identity has 1 to 256
    /// bytes, and a store rejects any other length as ``StoreError/Reason/invalid``. A store compares identities by
    /// their bytes.
    public var id: String
    /// The content.
    public var payload: [UInt8]
    /// The time until the record is due.
    ///
    /// With zero or a negative duration, the record is due immediately. A store may round the delay up by less than a
    /// millisecond and never down. The same applies to every other wait and to every lease.
    public var delay: Duration

    /// Creates a record.
    public init(queue: QueueName, id: String, payload: [UInt8], delay: Duration = .zero) {
        self.queue = queue
        self.id = id
        self.payload = payload
        self.delay = delay
    }
}
