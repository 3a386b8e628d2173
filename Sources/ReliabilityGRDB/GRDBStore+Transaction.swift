#if GRDB
public import GRDB
internal import ReliabilityCore
public import ReliabilityStore

/// Calls within a transaction of the program.
///
/// The changes become visible when the program's transaction commits, and a rollback takes the changes back. Use a
/// version or a token outside of the transaction only after the commit.
extension GRDBStore {
    /// Reads entries within a transaction of the program.
    ///
    /// - Parameters:
    ///   - keys: The keys.
    ///   - db: The connection of the transaction.
    /// - Returns: An element for each key: the entry, or `nil` if the entry is absent or has expired.
    /// - Throws: `StoreError` if an argument is invalid, otherwise the error of the database.
    public func get(_ keys: [StoreKey], in db: Database) throws -> [StoreEntry?] {
        for key in keys { try capabilities.check(key) }
        return try StoreTransaction(db, wallClock: clock.now).get(keys)
    }

    /// Makes all writes and adds all records within a transaction of the program, or does neither.
    ///
    /// - Parameters:
    ///   - writes: The writes and their conditions.
    ///   - records: The records. Defaults to none.
    ///   - db: The connection of the transaction.
    /// - Returns: The new versions and the results of the records, or the first conflict. After a conflict, nothing of
    ///   the call has changed.
    /// - Throws: `StoreError` if an argument is invalid, otherwise the error of the database. Nothing of the call has
    ///   changed.
    public func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord] = [],
        in db: Database
    ) throws -> RecordCommitResult {
        try capabilities.checkCommit(writes, records)
        return try change(db) { try $0.commit(writes, enqueueing: records) }
    }

    /// Adds records within a transaction of the program.
    ///
    /// - Parameters:
    ///   - records: The records.
    ///   - db: The connection of the transaction.
    /// - Returns: The result for each record.
    /// - Throws: `StoreError` if an argument is invalid, otherwise the error of the database. Nothing of the call has
    ///   changed.
    public func enqueue(_ records: [NewRecord], in db: Database) throws -> [EnqueueResult] {
        try capabilities.checkEnqueue(records)
        return try change(db) { try $0.enqueue(records) }
    }

    private func change<Success>(
        _ db: Database,
        _ body: (inout StoreTransaction) throws -> Success
    ) throws -> Success {
        try Self.requireTransaction(db)
        var success: Success?
        // After an error, the program may continue its transaction.
        try db.inSavepoint {
            var transaction = try StoreTransaction(db, wallClock: clock.now)
            success = try body(&transaction)
            return .commit
        }
        guard let success else { throw StoreError(.failed, "the savepoint ended without a result") }
        return success
    }

    static func requireTransaction(_ db: Database) throws(StoreError) {
        if !db.isInsideTransaction {
            throw StoreError(.invalid, "the connection must be in a transaction; use the write method of the database")
        }
    }
}
#endif
