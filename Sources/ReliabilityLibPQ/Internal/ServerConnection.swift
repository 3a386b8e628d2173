#if LibPQ
internal import CLibPQ
internal import ReliabilityCore
internal import ReliabilityPostgres
internal import ReliabilityStore

/// A connection of libpq in its asynchronous mode, for one thread.
@safe final class ServerConnection {
    // @safe: the pointer is private, set once and freed only in `deinit`.
    private let connection: OpaquePointer?
    /// A Boolean value that indicates whether an answer is pending that no call waits for.
    private var isBroken = false
    private var statements: [Statement: String] = [:]
    /// The largest number of prepared statements, for callers that compose texts.
    private static let maxStatements = 64

    init(_ parameters: ConnectionParameters, firstHost: Int) {
        unsafe connection = withCStrings(parameters.keywords) { keywords in
            unsafe withCStrings(parameters.values(firstHost: firstHost)) { values in
                unsafe PQconnectStartParams(keywords, values, 0)
            }
        }
        // Otherwise libpq prints the notices of the server.
        unsafe PQsetNoticeProcessor(connection, { _, _ in }, nil)
        // The message of a rejected connection then ends with the code and contains no text.
        _ = unsafe PQsetErrorVerbosity(connection, PQERRORS_SQLSTATE)
    }

    deinit { unsafe PQfinish(connection) }

    /// A statement that the server has prepared under a name.
    private struct Statement: Hashable {
        let sql: String
        /// The types of the arguments, which are a part of the prepared statement.
        let types: [UInt32]
    }

    enum Opening {
        case opened
        case rejected(sqlState: String)
        case failed(String)
    }

    func open(_ wait: SocketWait) -> Opening {
        // Before the first poll, libpq waits for a writable socket.
        var direction = ThreadSignal.Direction.writing
        while unsafe PQstatus(connection) != CONNECTION_BAD {
            if let problem = wait.problem(socket: unsafe PQsocket(connection), direction) {
                return .failed("the connection was not opened: \(problem)")
            }
            switch unsafe PQconnectPoll(connection) {
            case PGRES_POLLING_OK:
                _ = unsafe PQsetErrorVerbosity(connection, PQERRORS_DEFAULT)
                _ = unsafe PQsetnonblocking(connection, 1)
                return .opened
            case PGRES_POLLING_READING: direction = .reading
            case PGRES_POLLING_WRITING: direction = .writing
            default: return rejection
            }
        }
        return rejection
    }

    /// The code at the end of the message of libpq.
    ///
    /// The rest of the message names the user and the host.
    private var rejection: Opening {
        guard let message = unsafe PQerrorMessage(connection) else { return .failed("the connection failed") }
        let text = unsafe String(cString: message)
        let lines = text.split(whereSeparator: \.isNewline)
        let known = ["57P03", "3D000", "53300", "42501", "28000", "28P01"]
        for line in lines.reversed() {
            let code = String(line.suffix(5))
            if line.contains("FATAL"), known.contains(code) { return .rejected(sqlState: code) }
        }
        // libpq finds this problem itself, because the server asked for a password.
        if text.contains("no password supplied") { return .rejected(sqlState: "28P01") }
        let remedy = Self.remedies.first { text.contains($0.text) }?.explanation
        return .failed(remedy ?? "the connection to the server failed; see the address and the log of the server")
    }

    /// Parts of the messages of libpq, and what they mean for the operator.
    private static let remedies = [
        ("could not translate host name", "the name of the server cannot be resolved; correct the address"),
        ("Connection refused", "the server refused the connection; start the server or correct the address"),
        (
            "No such file or directory",
            "the socket of the server does not exist; start the server or correct the address"
        ),
        // PgBouncer reports a startup option with this code.
        ("08P01", "a pooler rejects the startup options; pass serverLimits: nil to LibPQTransport.Configuration"),
        ("Permission denied", "the system denies access to the socket of the server"),
        ("in recovery mode", "the server is a replica or accepts no writes; connect to the primary"),
        ("hot standby", "the server is a replica or accepts no writes; connect to the primary"),
        ("read-only", "the server is a replica or accepts no writes; connect to the primary"),
        ("SSL", "the server and the client do not agree on TLS; see sslmode and the certificates"),
        ("certificate", "the server and the client do not agree on TLS; see sslmode and the certificates"),
        ("invalid ", "libpq rejects a parameter of the address; correct the address"),
        ("could not match", "the address needs a port for each host, or one port"),
    ].map { (text: $0, explanation: $1) }

    var isUsable: Bool { unsafe !isBroken && PQstatus(connection) == CONNECTION_OK }
    var isIdle: Bool { unsafe PQtransactionStatus(connection) == PQTRANS_IDLE }
    var isInFailedTransaction: Bool { unsafe PQtransactionStatus(connection) == PQTRANS_INERROR }

    /// A Boolean value that indicates whether an idle connection was not closed by the server.
    var isAlive: Bool {
        guard isUsable else { return false }
        // Notices and parameters of the server may arrive at any time. A closed socket always has input.
        for _ in 0..<16 {
            guard ThreadSignal.hasInput(unsafe PQsocket(connection)) else { return isUsable }
            guard unsafe PQconsumeInput(connection) == 1, unsafe PQisBusy(connection) == 0 else { return false }
        }
        return false
    }

    var socket: Int32 { unsafe PQsocket(connection) }

    /// The number of the server's process, as the other end of the connection states the number.
    ///
    /// A pooler states another number than the server.
    var processNumber: Int32 { unsafe PQbackendPID(connection) }

    /// Reads the input of an idle connection, or returns `false` if the connection is lost.
    func readInput() -> Bool { unsafe PQconsumeInput(connection) == 1 && isUsable }

    /// Takes the payloads of the notifications that were read.
    func takeNotifications() -> [String] {
        var payloads: [String] = []
        while let notification = unsafe PQnotifies(connection) {
            if let payload = unsafe notification.pointee.extra { payloads.append(unsafe String(cString: payload)) }
            unsafe PQfreemem(notification)
        }
        return payloads
    }

    func ping(_ wait: SocketWait) -> Bool {
        let answer = query("SELECT 1", [], wait)
        return (try? answer.get())?.sqlState == nil && isUsable
    }

    /// Sends a statement and waits for its whole answer.
    ///
    /// - Parameters:
    ///   - sql: The text.
    ///   - values: The arguments.
    ///   - prepares: `true` to prepare the statement at its first use. The server then parses and plans the text once.
    ///   - wait: The limits of the wait.
    /// - Returns: The answer. An error in the preparation is an answer too.
    func query(
        _ sql: String,
        _ values: [PostgresValue],
        prepares: Bool = false,
        _ wait: SocketWait
    ) -> Result<PostgresReply, ConnectionFailure> {
        let types = values.map(\.type)
        let count = Int32(values.count)
        let statement = Statement(sql: sql, types: types)
        var name = prepares ? statements[statement] : nil
        if prepares, name == nil, statements.count < Self.maxStatements {
            let newName = "r\(statements.count)"
            let answer = answer(to: unsafe PQsendPrepare(connection, newName, sql, count, types), wait)
            guard case .success(let reply) = answer, reply.sqlState == nil else { return answer }
            statements[statement] = newName
            name = newName
        }
        let formats = [Int32](repeating: 1, count: values.count)
        let isQueued = unsafe withValues(values) { pointers, lengths in
            if let name { return unsafe PQsendQueryPrepared(connection, name, count, pointers, lengths, formats, 1) }
            return unsafe PQsendQueryParams(connection, sql, count, types, pointers, lengths, formats, 1)
        }
        return answer(to: isQueued, wait)
    }

    /// Ends the state of a session, and returns a Boolean value that indicates whether the connection can be used again.
    func discardState(_ wait: SocketWait) -> Bool {
        // The server also discards the prepared statements.
        statements = [:]
        return (try? query("DISCARD ALL", [], wait).get())?.sqlState == nil && isUsable
    }

    /// Sends what libpq has queued and waits for the whole answer.
    ///
    /// The answer is complete only when the server is ready for the next statement. The server sends the rows of a
    /// statement before the commit.
    private func answer(to isQueued: Int32, _ wait: SocketWait) -> Result<PostgresReply, ConnectionFailure> {
        guard isQueued == 1 else { return broken("the statement could not be sent completely") }
        while true {
            let flushed = unsafe PQflush(connection)
            if flushed < 0 { return broken("the connection was lost while a statement was sent") }
            if flushed == 0 { break }
            if let problem = wait.problem(socket: unsafe PQsocket(connection), .both) { return broken(problem) }
            if unsafe PQconsumeInput(connection) == 0 { return broken("the connection was lost") }
        }
        var reply = PostgresReply()
        while true {
            while unsafe PQisBusy(connection) == 1 {
                if let problem = wait.problem(socket: unsafe PQsocket(connection), .reading) { return broken(problem) }
                if unsafe PQconsumeInput(connection) == 0 { return broken("the connection was lost") }
            }
            guard let result = unsafe PQgetResult(connection) else { return .success(reply) }
            defer { unsafe PQclear(result) }
            switch unsafe PQresultStatus(result) {
            case PGRES_TUPLES_OK: reply.rows = unsafe rows(of: result)
            case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY, PGRES_NONFATAL_ERROR: break
            case PGRES_FATAL_ERROR:
                guard let code = unsafe PQresultErrorField(result, Int32(UInt8(ascii: "C"))) else {
                    return broken("the connection was lost before the answer")
                }
                let message = unsafe PQresultErrorField(result, Int32(UInt8(ascii: "M")))
                reply = PostgresReply(
                    sqlState: unsafe String(cString: code),
                    message: unsafe message.map { unsafe String(cString: $0) } ?? ""
                )
            default: return broken("the statement has no rows as its result")
            }
        }
    }

    private func broken(_ explanation: String) -> Result<PostgresReply, ConnectionFailure> {
        isBroken = true
        return .failure(ConnectionFailure(isSent: true, explanation))
    }
}

/// Returns the rows of a result.
private func rows(of result: OpaquePointer) -> [[[UInt8]?]] {
    let columnCount = unsafe PQnfields(result)
    let rowCount = unsafe PQntuples(result)
    return (0..<rowCount).map { row in
        (0..<columnCount).map { column in
            guard unsafe PQgetisnull(result, row, column) == 0, let start = unsafe PQgetvalue(result, row, column)
            else { return nil }
            let count = Int(unsafe PQgetlength(result, row, column))
            return unsafe Array(UnsafeRawBufferPointer(start: start, count: count))
        }
    }
}

/// Calls `body` with pointers to the bytes of values, with `nil` for a null, and the lengths of the values.
private func withValues<Result>(
    _ values: [PostgresValue],
    _ body: (_ pointers: [UnsafePointer<CChar>?], _ lengths: [Int32]) -> Result
) -> Result {
    let lengths = values.map { Int32(clamping: $0.bytes?.count ?? 0) }
    // The last byte gives a pointer that is not null for no bytes.
    var all: [UInt8] = []
    all.reserveCapacity(lengths.reduce(1) { $0 + Int($1) })
    for value in values { if let bytes = value.bytes { all += bytes } }
    all.append(0)
    return unsafe all.withUnsafeBytes { all in
        var next = unsafe all.baseAddress?.assumingMemoryBound(to: CChar.self)
        var pointers: [UnsafePointer<CChar>?] = unsafe []
        unsafe pointers.reserveCapacity(values.count)
        for (value, length) in zip(values, lengths) {
            unsafe pointers.append(value.bytes == nil ? nil : next)
            unsafe next = next.map { unsafe $0 + Int(length) }
        }
        return unsafe body(pointers, lengths)
    }
}

/// Calls `body` with an array of C strings that ends with a null.
private func withCStrings<Result>(
    _ strings: [String],
    _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result
) -> Result {
    func next(_ rest: ArraySlice<String>, _ pointers: [UnsafePointer<CChar>?]) -> Result {
        guard let string = rest.first else { return unsafe body(pointers + [nil]) }
        return unsafe string.withCString { unsafe next(rest.dropFirst(), pointers + [$0]) }
    }
    return unsafe next(strings[...], [])
}
#endif
