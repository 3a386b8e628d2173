internal import ReliabilityCore
public import ReliabilityStore

/// A store in a PostgreSQL database from version 15 on, for several processes.
///
/// Each operation is one statement and takes effect in one transaction. A call needs no session, so the store works
/// behind PgBouncer in transaction mode. All times are those of the server. A version is the timeline of the server's
/// write-ahead log and a number of a sequence. Versions therefore increase even if a standby is promoted that misses
/// the last commits.
///
/// ```swift
/// import ReliabilityPostgres
///
/// func openStore(_ connect: @escaping @Sendable () async throws -> any PostgresTransport) async throws -> PostgresStore {
///     try await PostgresSchema.migrate(try await connect())      // once for each deployment
///     return try await PostgresStore(connect: connect)
/// }
/// ```
///
/// The store never reads from a replica.
public final class PostgresStore: RecordStore {
    /// The limits and guarantees of the store.
    ///
    /// The durability follows from the settings of the server at the opening.
    public let capabilities: StoreCapabilities
    private let supervisor: ConnectionSupervisor<any PostgresTransport>
    let commands: PostgresCommands
    let statements: Statements
    let floors = Lock(ClaimFloors())
    let listener: EnqueueListener?

    /// Opens a store over a client of the server.
    ///
    /// The opening checks the server, its settings, the schema and the privileges, and changes nothing. The store
    /// watches the server until ``close()`` and replaces a client that fails.
    ///
    /// - Parameters:
    ///   - configuration: The settings of the store. Defaults to the schema `reliability`.
    ///   - observer: Receives the changes of the connection's state. Defaults to `nil`.
    ///   - connect: Returns a client of the server. The store calls the closure for the first client, and again to
    ///     replace a client that fails. The store closes a client that the store has replaced.
    /// - Throws: `StoreError`, whose explanation names the server and the remedy, without credentials. The reason is
    ///   `unavailable` for a replica or a server that does not answer in ten attempts.
    ///   The reason is `failed` for a wrong setting, a missing privilege or a missing migration. The reason is
    ///   `unsupportedFormat` for a schema that needs a later version of the library.
    /// - Precondition: The configuration is valid.
    public convenience init(
        _ configuration: Configuration = Configuration(),
        observer: (@Sendable (StoreConnectionEvent) -> Void)? = nil,
        connect: @escaping @Sendable () async throws -> any PostgresTransport
    ) async throws(StoreError) {
        try await self.init(configuration, limits: ConnectionLimits(), observer: observer, connect: connect)
    }

    package init(
        _ configuration: Configuration,
        limits: ConnectionLimits,
        observer: (@Sendable (StoreConnectionEvent) -> Void)? = nil,
        connect: @escaping @Sendable () async throws -> any PostgresTransport
    ) async throws(StoreError) {
        requireValid(configuration.validate)
        let readiness = PostgresReadiness()
        let events = EventSink(observer)
        let statements = Statements(schema: configuration.schema, notifies: configuration.usesNotifications)
        let watch = ServerWatch(configuration)
        let sweep = ExpirySweep(statements, timeout: configuration.callTimeout)
        let supervisor = ConnectionSupervisor<any PostgresTransport>(
            .init(
                name: "the PostgreSQL server",
                address: { $0.serverAddress },
                connect: { _ throws(StoreError) in try await StoreError.translatingFailure(connect) },
                admit: { transport throws(StoreError) in try await watch.admit(transport) },
                check: { transport throws(StoreError) in
                    try await watch.check(transport)
                    sweep.start(transport)
                },
                close: { await $0.close() },
                use: { readiness.use($0) }
            ),
            limits: limits,
            events: events
        )
        try await supervisor.open()
        listener =
            configuration.usesNotifications
            ? EnqueueListener(channel: configuration.schema, readiness, limits: limits, events: events) : nil
        self.supervisor = supervisor
        commands = PostgresCommands(.supervised(supervisor, readiness), timeout: configuration.callTimeout)
        self.statements = statements
        capabilities = StoreCapabilities(
            durability: watch.facts?.durability ?? .none,
            openedAt: nil,
            canStall: true,
            losesWritesOnFailover: watch.facts?.hasAsynchronousStandby ?? true
        )
    }

    /// The state of the connection to the server.
    public var connectionState: StoreConnectionState { supervisor.connectionState }

    /// Closes the client.
    ///
    /// Later calls are rejected as closed.
    public func close() {
        listener?.close()
        supervisor.close()
    }

    deinit { close() }

    /// Reads entries at a single point in time.
    public func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        for key in keys { try capabilities.check(key) }
        if keys.isEmpty { return [] }
        let rows = try await commands.read(statements.get, [.bytesArray(keys.map(\.encoded))])
        guard rows.count == keys.count else { throw .malformedReply }
        var entries: [StoreEntry?] = []
        for row in rows {
            var row = RowReader(row)
            entries.append(try row.entry(at: try row.integer()))
        }
        return entries
    }

    /// Makes all writes in one step or none.
    public func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        if writes.count == 1 { return CommitResult(try await commit(writes[0])) }
        switch try await commit(writes, enqueueing: []) {
        case .committed(let versions, _): return .committed(versions)
        case .conflict(let index, let current): return .conflict(index: index, current: current)
        case .taken: throw .malformedReply
        }
    }

    /// Makes a single write.
    public func commit(_ write: StoreWrite) async throws(StoreError) -> WriteResult {
        try checkCancellation()
        try capabilities.check(write)
        let arguments = write.arguments
        let rows = try await commands.write(
            statements.write,
            [
                .int4(KeyLocks.number(arguments.key)), .bytes(arguments.key), .int2(arguments.kind),
                .int2(arguments.condition), .int8(arguments.wanted), .int8(arguments.life), .bytes(arguments.value),
            ]
        )
        guard rows.count == 1 else { throw .malformedReply }
        var row = RowReader(rows[0])
        let isMade = try row.bool()
        let now: Int64 = try row.integer()
        return isMade ? .committed(try row.versionOrNull()) : .conflict(try row.entry(at: now))
    }

    /// Makes all writes and adds all records in one step, or does neither.
    public func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) async throws(StoreError) -> RecordCommitResult {
        try checkCancellation()
        try capabilities.checkCommit(writes, records)
        if writes.isEmpty, records.isEmpty { return .committed([], records: []) }
        // A single record is added or not, in both functions. The smaller function takes less of the server's time.
        if writes.isEmpty, records.count == 1 {
            let results = try Self.enqueueResults(try await commands.write(statements.enqueue, records.arguments), 1)
            if case .taken(let state) = results[0] { return .taken(index: 0, by: state) }
            return .committed([], records: results)
        }
        let arguments = writes.map(\.arguments)
        let keys = arguments.map(\.key)
        let rows = try await commands.write(
            records.isEmpty ? statements.commit : statements.commitWithRecords,
            [
                .int4Array(KeyLocks.numbers(keys)), .bytesArray(keys), .int2Array(arguments.map(\.kind)),
                .int2Array(arguments.map(\.condition)), .int8Array(arguments.map(\.wanted)),
                .int8Array(arguments.map(\.life)), .bytesArray(arguments.map(\.value)),
            ] + records.arguments
        )
        return try Self.commitResult(rows, writes.count, records.count)
    }

    private static func commitResult(
        _ rows: [[[UInt8]?]],
        _ writeCount: Int,
        _ recordCount: Int
    ) throws(StoreError) -> RecordCommitResult {
        var versions: [StoreVersion?] = []
        var results: [EnqueueResult] = []
        for row in rows {
            var row = RowReader(row)
            let kind: Int16 = try row.integer()
            let now: Int64 = try row.integer()
            let place = Int(try row.integer(Int32.self))
            switch kind {
            case 1: versions.append(try row.versionOrNull())
            case 2: results.append(try EnqueueResult(flag: try row.integer()))
            case 3: return .conflict(index: place, current: try row.entry(at: now))
            case 4:
                guard case .taken(let state) = try EnqueueResult(flag: try row.integer()) else { throw .malformedReply }
                return .taken(index: place, by: state)
            default: throw .malformedReply
            }
        }
        guard versions.count == writeCount, results.count == recordCount else { throw .malformedReply }
        return .committed(versions, records: results)
    }

    func checkCancellation() throws(StoreError) {
        if Task.isCancelled { throw StoreError(.cancelled, "the task was cancelled before the write") }
    }
}
