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
///
/// Make one value for each queue and pass it on: a commit wakes the relays that were made with the same value, or a copy
/// of it, in the same process. Other relays see the message at their next poll.
public struct OutboxQueue: Sendable {
    /// The queue's name.
    public let name: RecordQueue
    /// The store.
    public let store: any RecordStore
    let relays = RunningRelays()

    /// Creates a queue; what it held before is still there.
    ///
    /// - Parameters:
    ///   - name: The queue's name, of 1 to 64 bytes.
    ///   - store: The store that holds the data too.
    /// - Precondition: The name has 1 to 64 bytes.
    public init(_ name: RecordQueue, store: any RecordStore) {
        let count = name.description.utf8.count
        requireValid((1...64).contains(count), "a queue's name has 1 to 64 bytes (is \"\(name)\")")
        self.name = name
        self.store = store
    }

    /// The record of a message, for a commit of your own.
    ///
    /// Such a commit wakes no relay; ``OutboxRelay/wake()`` does.
    ///
    /// - Parameters:
    ///   - message: The message.
    ///   - delay: How long until it is due.
    /// - Returns: The record.
    public func record(for message: OutboxMessage, delay: Duration = .zero) -> NewRecord {
        NewRecord(queue: name, id: message.id, payload: message.encoded, delay: delay)
    }

    /// Makes all writes and sends all messages in one step, or throws and does nothing.
    ///
    /// When it returns, every message is pending: it is new, or the same message was pending already. What is in the way is
    /// an error, so that it cannot be overlooked:
    ///
    /// ```swift
    /// do {
    ///     try await outbox.commit([.put(orderKey, order.bytes, .never, if: .absent)], sending: [placed])
    /// } catch let conflict as OutboxConflict {
    ///     guard case .write(0, let current?) = conflict.reason else { throw conflict }
    ///     return try answer(from: current.value)      // an earlier run committed the order, and its message with it
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - writes: What to write, and on what conditions.
    ///   - messages: What to send.
    /// - Returns: The new versions of the writes, and whether each message is new.
    /// - Throws: ``OutboxConflict`` when a write's precondition is false or a message's identity belongs to another message;
    ///   `StoreError`, and after `unknownOutcome` it may have happened.
    @discardableResult
    public func commit(_ writes: [StoreWrite], sending messages: [OutboxMessage]) async throws -> OutboxReceipt {
        switch try await store.commit(writes, enqueueing: messages.map { record(for: $0) }) {
        case .committed(let versions, let results):
            relays.wake()
            return OutboxReceipt(versions: versions, messages: results)
        case .conflict(let index, let current): throw OutboxConflict(.write(index: index, current: current))
        case .taken(let index, let state): throw OutboxConflict(.message(index: index, state))
        }
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
        defer { relays.wake() }
        return try await settleDead(.redrive, limit: limit).count
    }

    /// Removes dead messages that nobody wants any more.
    ///
    /// What is removed was never delivered.
    ///
    /// - Parameters:
    ///   - age: How long a message has to have been dead.
    ///   - limit: The most messages to remove.
    /// - Returns: How many there were.
    /// - Throws: `StoreError`; those before it are removed.
    @discardableResult
    public func removeDead(olderThan age: Duration, limit: Int = .max) async throws(StoreError) -> Int {
        try await settleDead(.done, limit: limit, olderThan: age).count
    }

    /// Settles dead messages, page by page.
    ///
    /// - Returns: Those that were settled.
    private func settleDead(
        _ action: Settlement.Action,
        limit: Int,
        olderThan age: Duration? = nil
    ) async throws(StoreError) -> [RecordInfo] {
        var settled: [RecordInfo] = []
        var after: String?
        while settled.count < limit {
            let batch = min(100, limit - settled.count)
            let page = try await store.page(name, .dead, after: after, limit: max(1, min(batch, mostAtOnce)))
            settled += try await settle(page.records, action, olderThan: age) { settlements throws(StoreError) in
                try await store.settle(settlements)
            }
            guard let next = page.next else { break }
            after = next
        }
        return settled
    }

    /// The most records to read or settle in one call.
    var mostAtOnce: Int { max(1, min(100, store.capabilities.maximumWrites)) }

    /// Settles those of some dead messages that are old enough.
    ///
    /// - Returns: Those that were settled; others were redriven or removed in the meantime.
    func settle(
        _ records: [RecordInfo],
        _ action: Settlement.Action,
        olderThan age: Duration?,
        with settle: ([Settlement]) async throws(StoreError) -> [SettleResult]
    ) async throws(StoreError) -> [RecordInfo] {
        let old = records.filter { record in age.map { $0 <= .zero - record.due } ?? true }
        if old.isEmpty { return [] }
        let settlements = old.map { Settlement(queue: name, id: $0.id, token: $0.version, action) }
        let results = try await settle(settlements)
        return zip(old, results).filter { $0.1 == .settled }.map(\.0)
    }
}
