#if GRDB
public import GRDB
internal import ReliabilityCore
public import ReliabilityStore

/// A store in the tables of a SQLite database that the program opens with GRDB.
///
/// The tables are in the program's own database. A transaction of the program can therefore change the program's rows
/// and the store in one step: ``commit(_:enqueueing:in:)``, `OutboxQueue.send(_:in:)` and
/// `Deduplicator.run(_:_:fingerprint:in:operation:)`.
///
/// ```
/// var migrator = DatabaseMigrator()
/// GRDBStore.registerMigrations(in: &migrator)
/// try migrator.migrate(database)
/// let store = try await GRDBStore(database)
/// ```
///
/// Any number of processes can use the database. Each connection then needs a busy mode with a timeout, such as
/// `configuration.busyMode = .timeout(2)`. A busy database is otherwise reported as
/// `StoreError.Reason.unavailable`.
public final class GRDBStore: RecordStore {
    /// The limits and guarantees of the store.
    ///
    /// The durability is `powerLoss` only if the writing connection has `PRAGMA synchronous = FULL`. A `DatabasePool`
    /// sets `NORMAL` when the pool is opened, and the durability is then `processCrash`. A database in memory has none.
    public let capabilities: StoreCapabilities
    private let writer: any DatabaseWriter
    let clock: WallClock

    /// Creates a store over a database that has the tables.
    ///
    /// The store does not close the database.
    ///
    /// - Parameter writer: The database, such as a `DatabasePool` or a `DatabaseQueue`.
    /// - Throws: `StoreError` with the reason `failed` if the tables are missing.
    public convenience init(_ writer: any DatabaseWriter) async throws(StoreError) {
        try await self.init(writer, clock: WallClock(unixNanoseconds))
    }

    init(_ writer: any DatabaseWriter, clock: WallClock) async throws(StoreError) {
        self.writer = writer
        self.clock = clock
        let durability = try await Self.call(writer, isWrite: true) { db in
            _ = try StoreTransaction(db, wallClock: clock.now)
            return try db.durability
        }
        capabilities = StoreCapabilities(durability: durability, openedAt: nil, canStall: true)
    }

    // MARK: Calls

    /// Runs a transaction whose outcome does not depend on the cancellation of the task.
    ///
    /// A transaction that waits when the task is cancelled changes nothing.
    private static func call<Success: Sendable>(
        _ writer: any DatabaseWriter,
        isWrite: Bool,
        _ body: @escaping @Sendable (Database) throws -> Success
    ) async throws(StoreError) -> Success {
        let isCancelled = CancellationFlag()
        // The function of GRDB with a callback has no connection to the task. The function with async would interrupt
        // a statement at a cancellation and could hide the outcome of a commit.
        let result: Result<Success, any Error> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if isWrite {
                    writer.asyncWrite { db in
                        if isCancelled.isSet { throw StoreError.cancelledBeforeWrite }
                        return try body(db)
                    } completion: { _, result in
                        continuation.resume(returning: result)
                    }
                } else {
                    writer.asyncRead { db in continuation.resume(returning: Result { try body(db.get()) }) }
                }
            }
        } onCancel: {
            isCancelled.set()
        }
        do { return try result.get() } catch { throw StoreError(database: error, isWrite: isWrite) }
    }

    private func read<Success: Sendable>(
        _ body: @escaping @Sendable (StoreTransaction) throws -> Success
    ) async throws(StoreError) -> Success {
        try await Self.call(writer, isWrite: false) { [clock] db in
            try body(StoreTransaction(db, wallClock: clock.now))
        }
    }

    private func write<Success: Sendable>(
        _ body: @escaping @Sendable (inout StoreTransaction) throws -> Success
    ) async throws(StoreError) -> Success {
        if Task.isCancelled { throw .cancelledBeforeWrite }
        return try await Self.call(writer, isWrite: true) { [clock] db in
            var transaction = try StoreTransaction(db, wallClock: clock.now)
            try transaction.reclaim()
            return try body(&transaction)
        }
    }

    // MARK: Entries

    /// Reads entries at a single point in time.
    public func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        for key in keys { try capabilities.check(key) }
        return try await read { try $0.get(keys) }
    }

    /// Makes all writes in one step or none.
    public func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        switch try await commit(writes, enqueueing: []) {
        case .committed(let versions, _): return .committed(versions)
        case .conflict(let index, let current): return .conflict(index: index, current: current)
        case .taken: throw StoreError(.failed, "a commit without records found a taken identity")
        }
    }

    /// Makes all writes and adds all records in one step, or does neither.
    public func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) async throws(StoreError) -> RecordCommitResult {
        try capabilities.checkCommit(writes, records)
        return try await write { try $0.commit(writes, enqueueing: records) }
    }

    /// Makes all updates in one step or none.
    public func update(
        _ updates: [(key: StoreKey, update: AtomicUpdate)]
    ) async throws(StoreError) -> UpdateResult {
        try capabilities.checkUpdates(updates)
        return try await write { try $0.update(updates) }
    }

    /// Reads entries in the order of their keys.
    ///
    /// A page has at most 256 entries and ends after about 1 MiB of values.
    public func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try capabilities.checkPositive(limit, "limit")
        return try await read { try $0.scan(prefix, after: after, limit: limit) }
    }

    // MARK: Records

    /// Adds records in one step.
    public func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult] {
        try capabilities.checkEnqueue(records)
        return try await write { try $0.enqueue(records) }
    }

    /// Claims due records under a lease.
    public func claim(
        _ queue: QueueName,
        limit: Int,
        lease: Duration
    ) async throws(StoreError) -> [RecordClaim] {
        try capabilities.checkClaim(queue, limit: limit, lease: lease)
        let limit = min(limit, capabilities.maxWrites)
        return try await write { try $0.claim(queue, limit: limit, lease: lease) }
    }

    /// Settles records in one step.
    public func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult] {
        try capabilities.checkSettlements(settlements)
        return try await write { try $0.settle(settlements) }
    }

    /// Returns the time until the next record of the queue is due or the next lease ends.
    public func nextDue(_ queue: QueueName) async throws(StoreError) -> Duration? {
        try capabilities.check(queue)
        return try await read { try $0.nextDue(queue) }
    }

    /// Returns the numbers of records in the queue.
    ///
    /// The time of the call grows with the number of records.
    public func counts(_ queue: QueueName) async throws(StoreError) -> RecordCounts {
        try capabilities.check(queue)
        return try await read { try $0.counts(queue) }
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
        return try await read { try $0.page(queue, state, after: after, limit: limit) }
    }
}

extension StoreError {
    static var cancelledBeforeWrite: StoreError {
        StoreError(.cancelled, "the task was cancelled before the write")
    }
}
#endif
