#if PostgresNIO
public import Outbox
public import PostgresNIO
public import ReliabilityPostgres
public import ReliabilityStore

extension PostgresStore {
    /// Adds records in a transaction of the program on a connection of PostgresNIO.
    ///
    /// The contract is that of `PostgresStore.enqueue(_:in:)` with a transport.
    ///
    /// - Parameters:
    ///   - records: The records.
    ///   - connection: The connection with the open transaction.
    /// - Returns: The result for each record.
    /// - Throws: `StoreError`. After an error of the server, the transaction can only be rolled back.
    public func enqueue(
        _ records: [NewRecord],
        in connection: PostgresConnection
    ) async throws(StoreError) -> [EnqueueResult] {
        try await enqueue(records, in: PostgresConnectionTransport(connection))
    }
}

extension OutboxQueue {
    /// Sends messages in a transaction of the program, together with the changes of the program's own tables.
    ///
    /// ```
    /// try await client.withTransaction(logger: logger) { connection in
    ///     try await connection.query("INSERT INTO orders (id) VALUES (\(order.id))", logger: logger)
    ///     try await outbox.send([OutboxMessage(topic: "order.placed", payload: order.bytes)], in: connection)
    /// }
    /// relay.wake()
    /// ```
    ///
    /// The messages are delivered after the commit. A rollback takes the messages back. No relay is woken, because
    /// PostgresNIO does not report a commit. Call `OutboxRelay.wake()` after the commit.
    ///
    /// - Parameters:
    ///   - messages: The messages.
    ///   - connection: The connection with the open transaction.
    /// - Throws: `OutboxConflict` if the identity of a message belongs to another message. `StoreError` with the reason
    ///   `invalid` if the store of the queue is no `PostgresStore`. Otherwise the error of the store. After an error,
    ///   the transaction has to be rolled back.
    public func send(_ messages: [OutboxMessage], in connection: PostgresConnection) async throws {
        guard let store = store as? PostgresStore else {
            throw StoreError(.invalid, "the store of the outbox \(name) must be a PostgresStore")
        }
        let results = try await store.enqueue(messages.map { record(for: $0) }, in: connection)
        for (index, result) in results.enumerated() {
            guard case .taken(let state) = result else { continue }
            throw OutboxConflict(.identityTaken(index: index, state), messageID: messages[index].id)
        }
    }
}
#endif
