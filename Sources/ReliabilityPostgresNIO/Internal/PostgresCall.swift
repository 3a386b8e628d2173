#if PostgresNIO
internal import Logging
internal import NIOCore
internal import PostgresNIO
internal import ReliabilityCore
internal import ReliabilityPostgres
internal import ReliabilityStore

/// A call with a time limit, whose statement is sent at most once.
final class PostgresCall: Sendable {
    /// The statement was not sent, because the connection is closed or the call has ended.
    struct Unsent: Error {}

    private let progress = CommandProgress()

    private init() {}

    /// Runs a call.
    ///
    /// - Parameters:
    ///   - limit: The longest time for the call.
    ///   - body: Calls ``send(_:on:logger:)`` on a connection.
    /// - Returns: The reply of the server.
    /// - Throws: `ConnectionFailure` if there is no reply.
    static func run(
        limit: Duration,
        _ body: @escaping @Sendable (PostgresCall) async throws -> PostgresReply
    ) async throws(ConnectionFailure) -> PostgresReply {
        if Task.isCancelled { throw ConnectionFailure(isSent: false, "the task was cancelled before the statement") }
        let call = PostgresCall()
        let result = await withinLimit(limit, timeSource: .continuous) {
            do { return Result<PostgresReply, any Error>.success(try await body(call)) } catch {
                return .failure(error)
            }
        }
        // No attempt that is still running sends the statement from here on.
        let isSent = call.progress.end()
        switch result {
        case .success(let reply): return reply
        case .failure(let error):
            if let reply = PostgresReply(error) { return reply }
            let code = (error as? PSQLError)?.code.description ?? "no connection"
            throw ConnectionFailure(isSent: isSent, "the client of the server failed: \(code)", underlyingError: error)
        case nil: throw ConnectionFailure(isSent: isSent, "the server did not answer within \(limit)")
        }
    }

    /// Sends the statement and reads all rows.
    ///
    /// PostgresNIO does not observe a cancellation. The end of the call therefore closes the connection.
    func send(_ query: PostgresQuery, on connection: PostgresConnection, logger: Logger) async throws -> PostgresReply {
        if Task.isCancelled || connection.isClosed || !progress.begin() { throw Unsent() }
        let result: Result<PostgresReply, any Error>
        do {
            result = .success(
                try await withTaskCancellationHandler {
                    var rows: [[[UInt8]?]] = []
                    for try await row in try await connection.query(query, logger: logger) {
                        rows.append(row.map { cell in cell.bytes.map { Array($0.readableBytesView) } })
                    }
                    return PostgresReply(rows: rows)
                } onCancel: {
                    connection.close().whenComplete { _ in }
                }
            )
        } catch {
            result = .failure(error)
        }
        // The pool must not lease a connection that is about to close.
        if Task.isCancelled { try? await connection.close() }
        return try result.get()
    }
}

extension PostgresReply {
    /// Creates a reply from an error of the server, or returns `nil` for any other error.
    init?(_ error: any Error) {
        guard let error = error as? PSQLError, error.code == .server, let info = error.serverInfo,
            let code = info[.sqlState]
        else { return nil }
        self.init(sqlState: code, message: info[.message] ?? "")
    }
}

extension PostgresQuery {
    init(_ sql: String, _ values: [PostgresValue]) {
        var binds = PostgresBindings(capacity: values.count)
        for value in values {
            binds.append(
                PostgresData(type: PostgresDataType(value.type), value: value.bytes.map { ByteBuffer(bytes: $0) })
            )
        }
        self.init(unsafeSQL: sql, binds: binds)
    }
}
#endif
