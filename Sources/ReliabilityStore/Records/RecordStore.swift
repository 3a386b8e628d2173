/// A key-value store with queues of records, which are due at a time and are claimed under leases.
///
/// The promises of ``KeyValueStore`` hold for the calls of this protocol as well. In addition:
///
/// - In a store with one owner at a time, opening the store ends all leases of the earlier owner. In their next claims,
///   ``RecordClaim/wasAbandoned`` is `true`. In a store that several processes use, an opening ends no lease.
/// - A full store rejects new records as ``StoreError/Reason/capacityExceeded``. Records in a full store can be claimed
///   and settled.
public protocol RecordStore: KeyValueStore {
    /// Adds records in one step.
    ///
    /// Each record gets a separate result. A record that is not stored does not prevent the others.
    ///
    /// - Parameter records: The records, at most ``StoreCapabilities/maxWrites``.
    /// - Returns: The result for each record.
    /// - Throws: ``StoreError``.
    func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult]

    /// Makes all writes and adds all records in one step, or does neither.
    ///
    /// After a successful commit, all of its records are pending. A record that is already pending with the same
    /// payload changes nothing and fails no commit. The commit fails if the identity of a record belongs to a dead
    /// letter or to a record with another payload. The conditions of the writes take precedence over the records.
    ///
    /// - Parameters:
    ///   - writes: The writes and their conditions.
    ///   - records: The records. The numbers of writes and records together are at most
    ///     ``StoreCapabilities/maxWrites``.
    /// - Returns: The new versions and the results of the records, or the first conflict.
    /// - Throws: ``StoreError``.
    func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) async throws(StoreError) -> RecordCommitResult

    /// Claims due records in the order of their due times, each for a single caller until the lease ends.
    ///
    /// Each record gets a new version, which is the claim's token. The result has fewer than `limit` records only if
    /// fewer records are due or `limit` exceeds ``StoreCapabilities/maxWrites``.
    ///
    /// - Parameters:
    ///   - queue: The queue.
    ///   - limit: The largest number of records, at least 1.
    ///   - lease: The length of the lease, positive.
    /// - Returns: The claims. Empty if no record is due.
    /// - Throws: ``StoreError``.
    func claim(_ queue: QueueName, limit: Int, lease: Duration) async throws(StoreError) -> [RecordClaim]

    /// Settles records in one step.
    ///
    /// Each settlement gets a separate result. A settlement with a stale token changes nothing and does not prevent the
    /// others.
    ///
    /// - Parameter settlements: The settlements, at most ``StoreCapabilities/maxWrites``. A record may appear once.
    /// - Returns: The result of each settlement.
    /// - Throws: ``StoreError``.
    func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult]

    /// Returns the time until the first record of the queue is due or the first lease ends.
    ///
    /// A negative time is the age of the oldest due record. The call takes the same time for any number of records.
    ///
    /// - Parameter queue: The queue.
    /// - Returns: The time, or `nil` if no record is pending. The time is zero or negative if a record is due.
    /// - Throws: ``StoreError``.
    func nextDue(_ queue: QueueName) async throws(StoreError) -> Duration?

    /// Returns the numbers of records in the queue.
    ///
    /// - Parameter queue: The queue.
    /// - Returns: The counts.
    /// - Throws: ``StoreError``.
    func counts(_ queue: QueueName) async throws(StoreError) -> RecordCounts

    /// Reads records of one state in the order of the bytes of their ids.
    ///
    /// A record that does not change while all pages are read appears exactly once. A page may hold fewer records than
    /// `limit`. A page is the last page only if ``RecordPage/next`` is `nil`.
    ///
    /// - Parameters:
    ///   - queue: The queue.
    ///   - state: The state of the records.
    ///   - after: The id after which the page begins, or `nil` for the first page.
    ///   - limit: The largest number of records on the page, at least 1.
    /// - Returns: A page.
    /// - Throws: ``StoreError``.
    func page(
        _ queue: QueueName,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) async throws(StoreError) -> RecordPage

    /// Registers an action for new records of a queue, which other processes may have added.
    ///
    /// The action is a hint: the store may omit a call or call the action without a new record. Most stores never call
    /// the action. The action must return promptly.
    ///
    /// - Parameters:
    ///   - queue: The queue.
    ///   - action: The action, such as the wake-up of a relay.
    /// - Returns: A function that removes the registration.
    func onEnqueue(_ queue: QueueName, _ action: @escaping @Sendable () -> Void) -> @Sendable () -> Void
}

extension RecordStore {
    /// Registers nothing, because the store reports no new records.
    public func onEnqueue(_ queue: QueueName, _ action: @escaping @Sendable () -> Void) -> @Sendable () -> Void { {} }
}
