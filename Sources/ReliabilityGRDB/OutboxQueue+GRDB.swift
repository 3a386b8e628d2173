#if GRDB
public import GRDB
public import Outbox
internal import ReliabilityStore

extension OutboxQueue {
    /// Sends a message within a transaction of the program, together with the changes of the program's own tables.
    ///
    /// ```
    /// try await database.write { db in
    ///     try order.insert(db)
    ///     try outbox.send(OutboxMessage(topic: "order.placed", payload: order.bytes), in: db)
    /// }
    /// ```
    ///
    /// The message is delivered after the commit. A rollback takes the message back. The commit wakes the relays of
    /// this value or a copy in the process.
    ///
    /// - Parameters:
    ///   - message: The message.
    ///   - delay: The time until the message is due. Defaults to zero.
    ///   - db: The connection of the transaction.
    /// - Throws: ``OutboxConflict`` if the message's identity belongs to another message. `StoreError` with the reason
    ///   `invalid` if the store of the queue is no ``GRDBStore`` or the connection is in no transaction. Otherwise the
    ///   error of the database. Nothing of the call has changed.
    public func send(_ message: OutboxMessage, delay: Duration = .zero, in db: Database) throws {
        try send([message], delay: delay, in: db)
    }

    /// Sends messages within a transaction of the program, or none of them.
    ///
    /// - Parameters:
    ///   - messages: The messages.
    ///   - delay: The time until the messages are due. Defaults to zero.
    ///   - db: The connection of the transaction.
    /// - Throws: The errors of ``send(_:delay:in:)-(OutboxMessage,_,_)``.
    public func send(_ messages: [OutboxMessage], delay: Duration = .zero, in db: Database) throws {
        guard let store = store as? GRDBStore else {
            throw StoreError(.invalid, "the store of the outbox \(name) must be a GRDBStore")
        }
        let result = try store.commit([], enqueueing: messages.map { record(for: $0, delay: delay) }, in: db)
        if case .taken(let index, let state) = result {
            throw OutboxConflict(.identityTaken(index: index, state), messageID: messages[index].id)
        }
        db.afterNextTransaction { [self] _ in wakeRelays() }
    }
}
#endif
