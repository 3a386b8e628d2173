internal import ReliabilityStore

/// The changes that one frame of the log makes durable.
struct LogBatch: Sendable {
    /// The number of the batch.
    ///
    /// The first batch has number 1.
    let number: UInt64
    /// A Boolean value that indicates whether an answer waits for the clock in the frame.
    ///
    /// A heartbeat is written even if the batch has no changes.
    var isHeartbeat = false
    /// The first version that a change of the batch can have.
    let firstVersion: UInt64
    /// The keys whose entries do not have a version of the batch: removed entries and entries with a new expiry.
    var otherKeys: Set<StoreKey> = []
    private var queues: Set<QueueName> = []
    private var lastQueue: QueueName?

    init(number: UInt64, firstVersion: UInt64) {
        self.number = number
        self.firstVersion = firstVersion
    }

    mutating func insert(_ mutation: StoreMutation) {
        switch mutation {
        case .put(let key, let entry): if entry.version < firstVersion { otherKeys.insert(key) }
        case .remove(let key): otherKeys.insert(key)
        case .putRecord(let record): insert(QueueName(record.queue))
        case .removeRecord(let queue, _): insert(QueueName(queue))
        }
    }

    private mutating func insert(_ queue: QueueName) {
        // Most batches change one queue.
        if lastQueue == queue { return }
        lastQueue = queue
        queues.insert(queue)
    }

    func contains(_ queue: QueueName) -> Bool { queues.contains(queue) }
}
