#if GRDB
public import Dedup
public import GRDB
public import ReliabilityStore

extension Deduplicator {
    /// Runs an operation within a transaction of the program, unless the operation ran or is running for the same key.
    ///
    /// ```
    /// let result = try await database.write { db in
    ///     try dedup.run("charge", [customerID, idempotencyKey], fingerprint: body, in: db) { _ in
    ///         try charge.insert(db)
    ///         return charge.id
    ///     }
    /// }
    /// ```
    ///
    /// The result of the operation is stored in the same transaction as the changes of the operation. After a crash,
    /// either both are stored or neither is stored. An effect outside of the database has no such guarantee. Duplicates
    /// are recognized by ``run(_:_:fingerprint:isFinal:operation:)`` as well, and the other way round.
    ///
    /// - Parameters:
    ///   - name: The name of the operation. The same key under two names is two requests.
    ///   - key: The owner and the name of the request.
    ///   - fingerprint: The content of the request in a canonical form, or `nil` if the key alone identifies the
    ///     request. Defaults to `nil`.
    ///   - db: The connection of the transaction.
    ///   - operation: The work, with the connection of the transaction.
    /// - Returns: The value of the operation, from this run or from the first run.
    /// - Throws: ``DedupError`` if the operation does not run. `StoreError` with the reason `invalid` if the store of
    ///   the deduplicator is no ``GRDBStore`` or the connection is in no transaction. Otherwise the error of the
    ///   operation or of the database. Nothing of the call has changed.
    public func run<Value: DedupValue>(
        _ name: DedupOperation,
        _ key: CompositeKey,
        fingerprint: [UInt8]? = nil,
        in db: Database,
        operation: (DedupClaim) throws -> Value
    ) throws -> DedupResult<Value> {
        guard let store = store as? GRDBStore else {
            throw StoreError(.invalid, "the store of the deduplicator of \(keyspace) must be a GRDBStore")
        }
        try GRDBStore.requireTransaction(db)
        var result: DedupResult<Value>?
        try db.inSavepoint {
            let (value, report) = try runInTransaction(name, key, fingerprint: fingerprint) { write in
                switch try store.commit([write], in: db) {
                case .committed(let versions, _): return .committed(versions.first.flatMap { $0 })
                case .conflict(_, let current): return .conflict(current)
                case .taken: throw StoreError(.failed, "a commit without records found a taken identity")
                }
            } operation: {
                try operation($0)
            }
            db.afterNextTransaction { _ in report() }
            result = value
            return .commit
        }
        guard let result else { throw StoreError(.failed, "the savepoint ended without a result") }
        return result
    }
}
#endif
