internal import ReliabilityCore
public import ReliabilityStore

/// Where messages wait until they are delivered: a queue in the store that holds the data.
///
/// ```swift
/// let outbox = OutboxQueue("orders", store: store)
/// try await outbox.commit(
///     [.put(orderKey, order, .never, if: .absent)],
///     sending: [OutboxMessage(topic: "order.placed", payload: order)]
/// )
/// ```
///
/// The data and the message are stored in one step: there is no order without its message, and no message without its
/// order. An ``OutboxRelay`` delivers it.
public struct OutboxQueue: Sendable {
    /// The queue's name.
    public let name: RecordQueue
    /// The store.
    public let store: any RecordStore

    /// Creates a queue; what it held before is still there.
    ///
    /// - Parameters:
    ///   - name: The queue's name, of 1 to 64 bytes.
    ///   - store: The store that holds the data too.
    /// - Precondition: The name has 1 to 64 bytes.
    public init(_ name: RecordQueue, store: any RecordStore) {
        let count = name.description.utf8.count
        precondition((1...64).contains(count), "a queue's name has 1 to 64 bytes (is \"\(name)\")")
        self.name = name
        self.store = store
    }

    /// The record of a message, for a commit of your own.
    ///
    /// - Parameters:
    ///   - message: The message.
    ///   - delay: How long until it is due.
    /// - Returns: The record.
    public func record(for message: OutboxMessage, delay: Duration = .zero) -> NewRecord {
        NewRecord(queue: name, id: message.id, payload: message.encoded, delay: delay)
    }

    /// Makes all writes and sends all messages in one step, or none.
    ///
    /// - Parameters:
    ///   - writes: What to write, and on what conditions.
    ///   - messages: What to send. A message whose identity is in the queue already is not sent again.
    /// - Returns: The new versions of the writes; or the first conflict, and then nothing is sent.
    /// - Throws: `StoreError`.
    public func commit(
        _ writes: [StoreWrite],
        sending messages: [OutboxMessage]
    ) async throws(StoreError) -> RecordCommitResult {
        try await store.commit(writes, enqueueing: messages.map { record(for: $0) })
    }

    /// How many messages wait, and how many are dead.
    ///
    /// - Returns: The counts.
    /// - Throws: `StoreError`.
    public func counts() async throws(StoreError) -> RecordCounts { try await store.counts(name) }

    /// Sends dead messages again, under their old identities, their attempts counted from none.
    ///
    /// - Parameter limit: The most messages to send again.
    /// - Returns: How many there were.
    /// - Throws: `StoreError`; those before it are sent.
    @discardableResult
    public func redriveDead(limit: Int = .max) async throws(StoreError) -> Int {
        var count = 0
        var after: String?
        while count < limit {
            let batch = max(1, min(100, store.capabilities.maximumWrites, limit - count))
            let page = try await store.page(name, .dead, after: after, limit: batch)
            let settlements = page.records.map { Settlement(queue: name, id: $0.id, token: $0.version, .redrive) }
            if settlements.isEmpty { break }
            count += try await store.settle(settlements).count { $0 == .settled }
            guard let next = page.next else { break }
            after = next
        }
        return count
    }
}
