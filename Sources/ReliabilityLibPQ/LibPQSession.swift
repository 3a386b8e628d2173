#if LibPQ
internal import ReliabilityCore
public import ReliabilityPostgres
public import ReliabilityStore

/// A single connection that an operation has for itself.
///
/// ```swift
/// try await transport.withSession { session in
///     try await session.withTransaction {
///         let insert = "INSERT INTO orders (id) VALUES ($1)"
///         let id = PostgresValue(type: 25, bytes: Array(order.id.utf8))
///         let reply = try await session.query(insert, [id], limit: .seconds(3))
///         if let code = reply.sqlState { throw OrderError(code) }
///         _ = try await store.enqueue([message], in: session)
///     }
/// }
/// ```
public final class LibPQSession: PostgresTransport {
    let queue = CallQueue()
    private let transactionFailed = Lock(false)

    init() {}

    /// Runs a statement on the connection of the session.
    public func query(
        _ sql: String,
        _ values: [PostgresValue],
        limit: Duration
    ) async throws(ConnectionFailure) -> PostgresReply {
        try await queue.run(Call(sql, values, limit: limit))
    }

    /// Runs an operation in a transaction.
    ///
    /// The transaction is committed after the operation and rolled back if the operation throws.
    ///
    /// - Parameters:
    ///   - isolation: The isolation as in `BEGIN ISOLATION LEVEL`, or `nil` for the default of the role.
    ///   - operation: The operation, whose statements use this session.
    /// - Returns: The value of the operation.
    /// - Throws: The error of the operation, or `StoreError` if the transaction could not begin or was not committed. The
    ///   reason is `unknownOutcome` if the answer to the commit was lost.
    @discardableResult
    public func withTransaction<Success>(
        isolation: Isolation? = nil,
        _ operation: () async throws -> Success
    ) async throws -> Success {
        try await control("BEGIN" + (isolation.map { " ISOLATION LEVEL \($0.rawValue)" } ?? ""), isCommit: false)
        do {
            let success = try await operation()
            guard !transactionFailed.withLock({ $0 }) else {
                throw StoreError(.failed, "a statement of the transaction failed, so the transaction was rolled back")
            }
            try await control("COMMIT", isCommit: true)
            return success
        } catch {
            // A cancelled task sends nothing more, and the end of the session closes the connection.
            _ = try? await query("ROLLBACK", [], limit: .seconds(1))
            throw error
        }
    }

    private func control(_ sql: String, isCommit: Bool) async throws(StoreError) {
        let reply: PostgresReply
        do throws(ConnectionFailure) { reply = try await query(sql, [], limit: .seconds(3)) } catch {
            let reason: StoreError.Reason = isCommit && error.isSent ? .unknownOutcome : .unavailable
            throw StoreError(reason, error.explanation, underlyingError: error)
        }
        if let code = reply.sqlState { throw StoreError(sqlState: code, isWrite: isCommit) }
    }

    /// Records the state of the transaction after a statement.
    func record(transactionFailed isFailed: Bool) { transactionFailed.withLock { $0 = isFailed } }

    /// Ends the session, so that the connection returns to the pool.
    func end() { queue.close() }

    /// Ends the session.
    public func close() async { end() }

    /// The isolation of a transaction.
    @nonexhaustive
    public enum Isolation: String, Hashable, Sendable {
        /// Each statement sees all earlier commits.
        case readCommitted = "READ COMMITTED"
        /// All statements see the commits before the first statement.
        case repeatableRead = "REPEATABLE READ"
        /// The transactions have the same effect as in some serial order.
        case serializable = "SERIALIZABLE"
    }
}
#endif
