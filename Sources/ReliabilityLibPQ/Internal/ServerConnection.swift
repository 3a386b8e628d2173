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
        guard let text = unsafe PQerrorMessage(connection) else { return .failed("the connection failed") }
        let lines = unsafe String(cString: text).split(whereSeparator: \.isNewline)
        let known = ["57P03", "3D000", "53300", "42501", "28000", "28P01"]
        for line in lines.reversed() {
            let code = String(line.suffix(5))
            if line.contains("FATAL"), known.contains(code) { return .rejected(sqlState: code) }
        }
        return .failed("the connection to the server failed")
    }

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

    func ping(_ wait: SocketWait) -> Bool {
        let answer = query("SELECT 1", [], wait)
        return (try? answer.get())?.sqlState == nil && isUsable
    }

    /// Sends a statement and waits for its whole answer.
    ///
    /// The answer is complete only when the server is ready for the next statement. The server sends the rows of a
    /// statement before the commit.
    func query(
        _ sql: String,
        _ values: [PostgresValue],
        _ wait: SocketWait
    ) -> Result<PostgresReply, ConnectionFailure> {
        let types = values.map(\.type)
        let lengths = values.map { Int32(clamping: $0.bytes?.count ?? 0) }
        let formats = [Int32](repeating: 1, count: values.count)
        let isQueued = unsafe withValues(values[...], []) { pointers in
            unsafe PQsendQueryParams(connection, sql, Int32(values.count), types, pointers, lengths, formats, 1)
        }
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

/// Calls `body` with pointers to the bytes of values, with `nil` for a null.
private func withValues<Result>(
    _ values: ArraySlice<PostgresValue>,
    _ pointers: [UnsafePointer<CChar>?],
    _ body: ([UnsafePointer<CChar>?]) -> Result
) -> Result {
    guard let value = values.first else { return unsafe body(pointers) }
    guard let bytes = value.bytes else { return unsafe withValues(values.dropFirst(), pointers + [nil], body) }
    // A pointer that is not null, also for no bytes.
    return unsafe (bytes.isEmpty ? [0] : bytes).withUnsafeBytes { bytes in
        unsafe withValues(
            values.dropFirst(),
            pointers + [bytes.baseAddress?.assumingMemoryBound(to: CChar.self)],
            body
        )
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
