public import ReliabilityStore

extension PostgresStore {
    /// Adds records in a transaction of the caller.
    ///
    /// The records become visible with the caller's commit and vanish with a rollback. The call is a single statement on
    /// the connection and works at every isolation level. The due times count from the call.
    ///
    /// A record whose identity another open transaction uses waits for that transaction. Under `REPEATABLE READ` and
    /// `SERIALIZABLE`, the server may end the transaction with 40001, after which the caller starts the transaction
    /// again. Order the records of several calls in one transaction by queue and id, so that two transactions never wait
    /// for each other.
    ///
    /// - Parameters:
    ///   - records: The records, at most ``StoreCapabilities/maxWrites``.
    ///   - connection: The connection with the open transaction. Its statements run in the caller's session.
    /// - Returns: The result for each record.
    /// - Throws: `StoreError`. After an error of the server, the transaction can only be rolled back.
    public func enqueue(
        _ records: [NewRecord],
        in connection: some PostgresTransport
    ) async throws(StoreError) -> [EnqueueResult] {
        try checkCancellation()
        try capabilities.checkEnqueue(records)
        if records.isEmpty { return [] }
        let reply = try await PostgresCommands.query(
            connection,
            statements.enqueue,
            records.arguments,
            isWrite: true,
            limit: try commands.limit()
        )
        if let code = reply.sqlState { throw StoreError(sqlState: code, isWrite: true) }
        return try Self.enqueueResults(reply.rows, records.count)
    }
}
