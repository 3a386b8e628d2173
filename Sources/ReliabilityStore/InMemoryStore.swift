internal import ReliabilityCore

/// A bounded store in memory for one process.
///
/// The store never evicts an entry. An evicted claim would lead to a second payment. A write that does not fit into a
/// full store throws ``StoreError`` with the reason ``StoreError/Reason/capacityExceeded``. Expired entries make room
/// immediately.
public final class InMemoryStore: RecordStore {
    private let shards: MemoryShards
    private let clock: StoreClock
    /// The capabilities of the store: one owner, no durability and no stalls.
    public let capabilities: StoreCapabilities

    /// Creates an empty store.
    ///
    /// - Parameters:
    ///   - configuration: The limits of the store. Defaults to ``Configuration/standard``.
    ///   - clock: The clock of expiries and leases. Defaults to `ContinuousClock`.
    /// - Precondition: The configuration is valid. See ``Configuration/validate()``.
    public init(_ configuration: Configuration = .standard, clock: some Clock<Duration> = ContinuousClock()) {
        requireValid(configuration.validate)
        capabilities = StoreCapabilities(durability: .none, openedAt: StoreVersion(rawValue: 1), canStall: false)
        self.clock = StoreClock(startingAt: unixNanoseconds(), TimeSource(clock))
        shards = MemoryShards(StoreLimits(maxEntries: configuration.maxEntries, maxBytes: configuration.maxBytes))
    }

    /// The present usage of the store.
    public var usage: StoreUsage { shards.usage(at: clock.now) }

    /// Throws an error if the task is cancelled.
    ///
    /// A cancelled task writes nothing, as in every store.
    private func checkCancellation() throws(StoreError) {
        if Task.isCancelled { throw StoreError(.cancelled, "the task was cancelled before the write") }
    }

    /// Reads entries at a single point in time.
    public func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        for key in keys { try capabilities.check(key) }
        return try shards.get(keys, at: clock.now)
    }

    /// Reads a single entry.
    public func get(_ key: StoreKey) async throws(StoreError) -> StoreEntry? {
        try capabilities.check(key)
        return shards.get(key, at: clock.now)
    }

    /// Plans and makes a write of one entry in one step, in a cancelled task as well.
    ///
    /// - Parameters:
    ///   - key: The key of the entry, of any length.
    ///   - plan: Takes the value of the entry and the store's time in nanoseconds since 1970, and returns a write of
    ///     the entry without a condition or no write. A write without room is planned a second time.
    /// - Returns: The result of the plan.
    /// - Throws: ``StoreError`` with the reason ``StoreError/Reason/capacityExceeded`` if there is no room.
    package func change<Result: Sendable>(
        _ key: StoreKey,
        _ plan: (_ value: [UInt8]?, _ now: Int64) -> (write: StoreWrite?, result: Result)
    ) throws(StoreError) -> Result {
        try shards.change(key, at: clock.now, plan)
    }

    /// Makes all writes in one step or none.
    public func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        try checkCancellation()
        try capabilities.checkCommit(writes, [])
        return try shards.commit(writes, at: clock.now)
    }

    /// Makes a single write.
    public func commit(_ write: StoreWrite) async throws(StoreError) -> WriteResult {
        try checkCancellation()
        try capabilities.check(write)
        return try shards.commit(write, at: clock.now)
    }

    /// Makes all writes and adds all records in one step, or does neither.
    public func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) async throws(StoreError) -> RecordCommitResult {
        try checkCancellation()
        try capabilities.checkCommit(writes, records)
        return try shards.commit(writes, enqueueing: records, at: clock.now)
    }

    /// Makes all updates in one step or none.
    public func update(
        _ updates: [(key: StoreKey, update: AtomicUpdate)]
    ) async throws(StoreError) -> UpdateResult {
        try checkCancellation()
        try capabilities.checkUpdates(updates)
        return try shards.update(updates, at: clock.now)
    }

    /// Makes a single update.
    public func update(_ key: StoreKey, _ update: AtomicUpdate) async throws(StoreError) -> AtomicUpdate.Decision {
        try checkCancellation()
        try capabilities.check(key)
        return try shards.update(key, update, at: clock.now)
    }

    /// Reads entries in the order of their keys.
    ///
    /// A page has at most 256 entries and ends after about 1 MiB of values.
    public func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try capabilities.checkPositive(limit, "limit")
        return try shards.scan(prefix, after: after, limit: limit, at: clock.now)
    }

    /// Adds records in one step.
    public func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult] {
        try checkCancellation()
        try capabilities.checkEnqueue(records)
        return try shards.enqueue(records, at: clock.now)
    }

    /// Claims due records under a lease.
    public func claim(
        _ queue: QueueName,
        limit: Int,
        lease: Duration
    ) async throws(StoreError) -> [RecordClaim] {
        try checkCancellation()
        try capabilities.checkClaim(queue, limit: limit, lease: lease)
        let limit = min(limit, capabilities.maxWrites)
        return try shards.changeRecords(at: clock.now) { version, now in
            shards.records.index.planClaim(queue, limit: limit, lease: lease, version: &version, at: now)
        } issue: { claims, versions in
            claims.map { $0.with(token: StoreVersion(rawValue: versions.issued($0.token.rawValue))) }
        }
    }

    /// Settles records in one step.
    public func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult] {
        try checkCancellation()
        try capabilities.checkSettlements(settlements)
        return try shards.changeRecords(at: clock.now) { version, now in
            shards.records.index.planSettle(settlements, version: &version, at: now)
        }
    }

    /// Returns the time until the next record of the queue is due or the next lease ends.
    public func nextDue(_ queue: QueueName) async throws(StoreError) -> Duration? {
        try capabilities.check(queue)
        return try shards.readRecords(at: clock.now) { records, now in
            records.nextDue(queue).map { .untilUnixMilliseconds($0, from: now) }
        }
    }

    /// Returns the numbers of records in the queue.
    public func counts(_ queue: QueueName) async throws(StoreError) -> RecordCounts {
        try capabilities.check(queue)
        return try shards.readRecords(at: clock.now) { records, _ in records.counts(queue) }
    }

    /// Reads records of one state.
    ///
    /// A page has at most 256 records and ends after about 1 MiB of payloads.
    public func page(
        _ queue: QueueName,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) async throws(StoreError) -> RecordPage {
        try capabilities.check(queue)
        try capabilities.checkPositive(limit, "limit")
        return try shards.readRecords(at: clock.now) { records, now in
            records.page(queue, state, after: after, limit: limit, at: now)
        }
    }
}
