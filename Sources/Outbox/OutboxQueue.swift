internal import ReliabilityCore
public import ReliabilityStore

/// A queue of undelivered messages in the store that holds the data.
///
/// ```swift
/// let outbox = OutboxQueue("orders", store: store, storeFailure: .failClosed())
/// try await outbox.commit(
///     [.put(StoreKey("orders", order.id), order.bytes, .never, if: .absent)],
///     sending: [OutboxMessage(id: "order.placed:\(order.id)", topic: "order.placed", payload: order.bytes)]
/// )
/// ```
///
/// A commit stores the data and the messages in one step. Neither is ever stored without the other. An ``OutboxRelay``
/// delivers the messages.
///
/// Create one value for each queue and pass it on. A commit wakes the relays of the same value or a copy in the
/// process. Other relays find the message at their next poll.
public struct OutboxQueue: Sendable {
    /// The queue's name and the required durability.
    public let configuration: Configuration
    /// The queue's name.
    public var name: QueueName { configuration.name }
    /// The store of the messages and the data.
    public let store: any RecordStore
    /// The longest wait for a call to the store.
    package let storeFailure: StoreFailureMode
    let relays = RunningRelays()
    let claims = ActiveClaims()
    private let guarded: GuardedStore<any RecordStore>

    /// Creates a queue, which holds the undelivered messages of earlier processes.
    ///
    /// - Parameters:
    ///   - configuration: The queue's name and the required durability. A literal is the name.
    ///   - store: The store that also holds the data.
    ///   - storeFailure: The mode `failClosed` with the longest wait for a call to the store. An outbox cannot fail
    ///     open because a message that is not stored would be lost.
    ///   - clock: The clock that measures calls to the store. Defaults to `ContinuousClock`.
    ///   - observer: Receives ``OutboxEvent/storeDown(_:)`` and ``OutboxEvent/storeRecovered`` for the calls of this
    ///     value. Defaults to no observer.
    /// - Precondition: `configuration` is valid, `storeFailure` is `failClosed` and valid, and the store has the
    ///   configured durability.
    public init(
        _ configuration: Configuration,
        store: any RecordStore,
        storeFailure: StoreFailureMode,
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (OutboxEvent) -> Void)? = nil
    ) {
        requireValid(configuration.validate)
        requireValid(storeFailure.validate)
        let name = configuration.name
        requireValid(
            storeFailure.action == .failClosed,
            "storeFailure of the outbox \(name) must be failClosed: a message that is not stored would be lost"
        )
        store.capabilities.require(configuration.durability, for: "the outbox \(name)")
        self.configuration = configuration
        self.store = store
        self.storeFailure = storeFailure
        guarded = GuardedStore(
            store,
            canStall: store.capabilities.canStall,
            timeout: storeFailure.timeout,
            timeSource: TimeSource(clock),
            events: EventSink(observer)
        )
    }

    /// Returns the record of a message, for a commit through the store itself.
    ///
    /// Such a commit wakes no relay. Call ``OutboxRelay/wake()`` after the commit.
    ///
    /// - Parameters:
    ///   - message: The message.
    ///   - delay: The time until the message is due. Defaults to zero.
    /// - Returns: The record.
    public func record(for message: OutboxMessage, delay: Duration = .zero) -> NewRecord {
        NewRecord(queue: name, id: message.id, payload: message.encoded, delay: delay)
    }

    /// Makes all writes and sends all messages in one step, or throws an error.
    ///
    /// Every message is pending after the call. The message is new, or the same message was pending already. A conflict
    /// is an error:
    ///
    /// ```swift
    /// let orderKey = StoreKey("orders", order.id)
    /// let placed = OutboxMessage(id: "order.placed:\(order.id)", topic: "order.placed", payload: order.bytes)
    /// do {
    ///     try await outbox.commit([.put(orderKey, order.bytes, .never, if: .absent)], sending: [placed])
    /// } catch let conflict as OutboxConflict {
    ///     // An earlier run committed the order together with its message.
    ///     guard case .write(index: 0, current: .some) = conflict.reason else { throw conflict }
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - writes: The writes with their conditions.
    ///   - messages: The messages.
    /// - Returns: The new versions of the entries and the state of each message.
    /// - Throws: ``OutboxConflict`` if a write's condition is false, or if a message's identity belongs to another
    ///   message. Nothing was stored then. `StoreError` if the store fails. The commit may have happened if the reason
    ///   is `unknownOutcome`.
    @discardableResult
    public func commit(_ writes: [StoreWrite], sending messages: [OutboxMessage]) async throws -> OutboxReceipt {
        switch try await tryCommit(writes, sending: messages) {
        case .committed(let versions, let results): return OutboxReceipt(versions: versions, results: results)
        case .conflict(let index, let current): throw OutboxConflict(.write(index: index, current: current))
        case .taken(let index, let state):
            let id = messages.indices.contains(index) ? messages[index].id : nil
            throw OutboxConflict(.identityTaken(index: index, state), messageID: id)
        }
    }

    /// Makes all writes and sends all messages in one step, or returns the conflict.
    ///
    /// The form of ``commit(_:sending:)`` for a caller that expects conflicts. Nothing was stored after a conflict.
    ///
    /// - Parameters:
    ///   - writes: The writes with their conditions.
    ///   - messages: The messages.
    /// - Returns: The new versions of the entries and the state of each message, or the first conflict.
    /// - Throws: `StoreError`. The commit may have happened if the reason is `unknownOutcome`.
    public func tryCommit(
        _ writes: [StoreWrite],
        sending messages: [OutboxMessage]
    ) async throws(StoreError) -> RecordCommitResult {
        let records = messages.map { record(for: $0) }
        let result = try await guarded.write { store throws(StoreError) in
            try await store.commit(writes, enqueueing: records)
        }
        if case .committed = result { relays.wake() }
        return result
    }

    /// Wakes the relays of the same value or a copy in the process.
    package func wakeRelays() { relays.wake() }

    /// Returns the number of pending messages and the number of dead letters.
    ///
    /// - Returns: The counts. A message that is being delivered is pending.
    /// - Throws: `StoreError`.
    public func counts() async throws(StoreError) -> RecordCounts {
        try await guarded.read { [name] store throws(StoreError) in try await store.counts(name) }
    }

    /// Returns the time since the oldest undelivered message became due, or `nil` if no message is due.
    ///
    /// An alert on this age detects a relay that does not keep up. The query takes the same time for any number of
    /// messages.
    ///
    /// - Returns: The age, or `nil`.
    /// - Throws: `StoreError`.
    public func oldestDueAge() async throws(StoreError) -> Duration? {
        let due = try await guarded.read { [name] store throws(StoreError) in try await store.nextDue(name) }
        guard let due, due <= .zero else { return nil }
        return .zero - due
    }

    /// Makes dead letters pending again, with the same identities and no earlier attempts.
    ///
    /// - Parameter limit: The largest number of dead letters to redrive. Defaults to all.
    /// - Returns: The number of redriven dead letters.
    /// - Throws: `StoreError`. Dead letters may have been redriven before the error.
    @discardableResult
    public func redriveDeadLetters(limit: Int = .max) async throws(StoreError) -> Int {
        defer { relays.wake() }
        return try await settleDeadLetters(.redrive, limit: limit)
    }

    /// Removes dead letters, which are then never delivered.
    ///
    /// - Parameters:
    ///   - age: The least time since a message became a dead letter.
    ///   - limit: The largest number of dead letters to remove. Defaults to all.
    /// - Returns: The number of removed dead letters.
    /// - Throws: `StoreError`. Dead letters may have been removed before the error.
    @discardableResult
    public func removeDeadLetters(olderThan age: Duration, limit: Int = .max) async throws(StoreError) -> Int {
        try await settleDeadLetters(.done, limit: limit, olderThan: age)
    }

    /// Settles dead letters page by page.
    ///
    /// - Returns: The number of settled dead letters.
    private func settleDeadLetters(
        _ action: Settlement.Action,
        limit: Int,
        olderThan age: Duration? = nil
    ) async throws(StoreError) -> Int {
        var settled = 0
        var after: String?
        while settled < limit {
            let (start, pageSize) = (after, min(maxBatch, limit - settled))
            let page = try await guarded.read { [name] store throws(StoreError) in
                try await store.page(name, .deadLetter, after: start, limit: pageSize)
            }
            let records = try await settle(page.records, action, olderThan: age) { settlements throws(StoreError) in
                try await guarded.write { store throws(StoreError) in try await store.settle(settlements) }
            }
            settled += records.count
            guard let next = page.next else { break }
            after = next
        }
        return settled
    }

    /// The largest number of records to read or settle in one call.
    // A page is in memory with its payloads, so that the number has a limit of its own.
    var maxBatch: Int { max(1, min(256, store.capabilities.maxWrites)) }

    /// Settles the dead letters among some records that are old enough.
    ///
    /// - Returns: The settled dead letters. The others were redriven or removed in the meantime.
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
