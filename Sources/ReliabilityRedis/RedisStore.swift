internal import ReliabilityCore
public import ReliabilityStore

/// A store on a Redis 7 or Valkey server, for several processes.
///
/// Each operation is one script on the server and takes effect in one step. All times are those of the server. A version
/// is a time of the server in microseconds or the last version plus 1. Versions therefore increase even if the server
/// lost its content.
///
/// All keys of a store have the store's name as their hash tag, so a store is on one node of a cluster. Use several
/// stores for more throughput than that of one node.
public final class RedisStore: RecordStore {
    /// The limits and guarantees of the store, as read from the server when the store was opened.
    public let capabilities: StoreCapabilities
    let configuration: Configuration
    private let supervisor: ConnectionSupervisor<any RedisTransport>
    let commands: RedisCommands
    let names: RedisNames

    /// Opens a store over a connection of the library, without TLS.
    ///
    /// The store keeps the connection until ``close()`` and connects again after each failure.
    ///
    /// - Parameters:
    ///   - configuration: The settings.
    ///   - address: The address of the server.
    ///   - observer: Receives the changes of the connection's state. Defaults to `nil`.
    /// - Throws: `StoreError` if the server cannot be reached in ten attempts or does not keep the promises of the
    ///   store. The error states the remedy and no credentials.
    /// - Precondition: The configuration is valid.
    public convenience init(
        _ configuration: Configuration,
        address: RedisAddress,
        observer: (@Sendable (StoreConnectionEvent) -> Void)? = nil
    ) async throws(StoreError) {
        try await self.init(
            configuration,
            server: "the Redis server at \(address)",
            observer: observer
        ) { onLoss throws(StoreError) in
            try await SocketConnection.open(address, limit: configuration.commandTimeout, onLoss: onLoss)
        }
    }

    /// Opens a store over the client of a service.
    ///
    /// - Parameters:
    ///   - configuration: The settings.
    ///   - observer: Receives the changes of the connection's state. Defaults to `nil`.
    ///   - connect: Returns a client of the server. The store calls the closure for the first client, and again to
    ///     replace a client that fails. The store closes a client that the store has replaced.
    /// - Throws: `StoreError` if the server cannot be reached in ten attempts or does not keep the promises of the
    ///   store.
    /// - Precondition: The configuration is valid.
    public convenience init(
        _ configuration: Configuration,
        observer: (@Sendable (StoreConnectionEvent) -> Void)? = nil,
        connect: @escaping @Sendable () async throws -> any RedisTransport
    ) async throws(StoreError) {
        try await self.init(
            configuration,
            server: "the Redis server",
            observer: observer
        ) { _ throws(StoreError) in
            try await StoreError.translatingFailure(connect)
        }
    }

    init(
        _ configuration: Configuration,
        server: String,
        limits: ConnectionLimits = ConnectionLimits(),
        timeSource: TimeSource = .continuous,
        observer: (@Sendable (StoreConnectionEvent) -> Void)?,
        connect:
            @escaping @Sendable (@escaping @Sendable (String) -> Void) async throws(StoreError) -> any RedisTransport
    ) async throws(StoreError) {
        requireValid(configuration.validate)
        let names = RedisNames(configuration)
        let events = EventSink(observer)
        let watch = RedisServerWatch(
            RedisServerCheck(names: names, limit: configuration.commandTimeout, stated: configuration.durability),
            events: events
        )
        let readiness = RedisReadiness()
        let sweep = RedisIndexSweep(names, limit: configuration.commandTimeout)
        let supervisor = ConnectionSupervisor<any RedisTransport>(
            .init(
                name: server,
                connect: connect,
                admit: { transport throws(StoreError) in try await watch.admit(transport) },
                check: { transport throws(StoreError) in
                    try await watch.check(transport)
                    sweep.start(transport)
                },
                close: { await $0.close() },
                use: { readiness.use($0) }
            ),
            mustReachServer: configuration.durability == nil,
            limits: limits,
            timeSource: timeSource,
            events: events
        )
        try await supervisor.open()
        self.configuration = configuration
        self.names = names
        self.supervisor = supervisor
        commands = RedisCommands(supervisor, readiness, timeout: configuration.commandTimeout)
        capabilities = StoreCapabilities(
            durability: configuration.durability ?? watch.durability,
            openedAt: nil,
            canStall: true,
            losesWritesOnFailover: watch.hasReplicas
        )
    }

    /// The state of the connection to the server.
    public var connectionState: StoreConnectionState { supervisor.connectionState }

    /// Closes the connection.
    ///
    /// Later calls are rejected as closed.
    public func close() { supervisor.close() }

    deinit { supervisor.close() }

    func checkCancellation() throws(StoreError) {
        if Task.isCancelled { throw StoreError(.cancelled, "the task was cancelled before the write") }
    }

    // MARK: Entries

    /// Reads entries at a single point in time.
    public func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        for key in keys { try capabilities.check(key) }
        if keys.isEmpty { return [] }
        var entryNames = [names.version]
        entryNames.reserveCapacity(1 + keys.count)
        for key in keys { entryNames.append(names.entry(key)) }
        var reply = try await commands.read(.get, keys: entryNames, [])
        let now = try reply.integer()
        var entries: [StoreEntry?] = []
        entries.reserveCapacity(keys.count)
        for _ in keys { entries.append(try reply.entry(at: now)) }
        return entries
    }

    /// Makes all writes in one step or none.
    public func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        switch try await commit(writes, enqueueing: []) {
        case .committed(let versions, _): return .committed(versions)
        case .conflict(let index, let current): return .conflict(index: index, current: current)
        case .taken: throw .malformedReply
        }
    }

    /// Makes all writes and adds all records in one step, or does neither.
    public func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) async throws(StoreError) -> RecordCommitResult {
        try checkCancellation()
        try capabilities.checkCommit(writes, records)
        if writes.isEmpty, records.isEmpty { return .committed([], records: []) }
        var keys = [names.version, names.index]
        keys.reserveCapacity(2 + writes.count)
        var arguments = [Word.number(writes.count)]
        arguments.reserveCapacity(1 + 6 * writes.count)
        for write in writes {
            keys.append(names.entry(write.key))
            write.append(to: &arguments, member: names.member(of: write.key))
        }
        if !records.isEmpty {
            let (queueKeys, recordArguments) = names.arguments(of: records)
            keys += queueKeys
            arguments += recordArguments
        }
        let grows = !records.isEmpty || writes.contains(where: \.isPut)
        var reply = try await commands.write(grows ? .commit : .commitWithoutGrowth, keys: keys, arguments)
        let status = try reply.integer()
        let now = try reply.integer()
        if status == 1 {
            var versions = try reply.array()
            var flags = try reply.array()
            var results: [StoreVersion?] = []
            for _ in writes { results.append(try versions.integerOrNull().map { StoreVersion(microseconds: $0) }) }
            var added: [EnqueueResult] = []
            for _ in records { added.append(try EnqueueResult(flag: try flags.integer())) }
            return .committed(results, records: added)
        }
        let index = Int(try reply.integer())
        if status == 0 { return .conflict(index: index, current: try reply.entry(at: now)) }
        guard case .taken(let state) = try EnqueueResult(flag: try reply.integer()) else { throw .malformedReply }
        return .taken(index: index, by: state)
    }

    /// Makes all updates in one step or none.
    public func update(
        _ updates: [(key: StoreKey, update: AtomicUpdate)]
    ) async throws(StoreError) -> UpdateResult {
        try checkCancellation()
        try capabilities.checkUpdates(updates)
        if updates.isEmpty { return UpdateResult(isApplied: true, decisions: []) }
        var keys = [names.version, names.index]
        keys.reserveCapacity(2 + updates.count)
        var arguments: [[UInt8]] = []
        arguments.reserveCapacity(3 * updates.count)
        for (key, update) in updates {
            let (kind, constants) = update.arguments
            keys.append(names.entry(key))
            arguments.append(kind)
            arguments.append(constants)
            arguments.append(names.member(of: key))
        }
        var reply = try await commands.write(.update, keys: keys, arguments)
        let isApplied = try reply.integer() == 1
        let now = try reply.integer().saturatingMultiply(1000)
        var decisions: [AtomicUpdate.Decision] = []
        for (_, update) in updates {
            decisions.append(update.apply(to: try reply.bytesOrNull(), now: now).decision)
        }
        if decisions.allSatisfy(\.isAllowed) != isApplied {
            throw StoreError(.failed, "the script and the library decided an update differently")
        }
        return UpdateResult(isApplied: isApplied, decisions: decisions)
    }

    /// Reads entries in the order of their keys.
    ///
    /// A page has at most 256 entries and ends after about 1 MiB of values. The keys of a page are read first and then
    /// the entries. An entry that is removed between the two is left out.
    public func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try capabilities.checkPositive(limit, "limit")
        if !names.hasIndex(prefix) { throw StoreError(.invalid, "the keyspace is configured without scans") }
        let start: [UInt8]
        if let after, !(after < prefix) {
            start = Array("(") + after.encoded
        } else {
            start = Array("[") + prefix.encoded
        }
        let limit = min(limit, 256)
        let reply = try await commands.send(
            [
                Array("ZRANGE"), names.index, start, prefix.encoded.endOfPrefix, Array("BYLEX"), Array("LIMIT"),
                Array("0"), Array(limit + 1),
            ],
            keys: 1..<2
        )
        var members = try ReplyReader(reply)
        var keys: [StoreKey] = []
        while !members.isAtEnd { keys.append(StoreKey(encoded: try members.bytes())) }
        let count = keys.count
        keys = Array(keys.prefix(limit))
        if keys.isEmpty { return StorePage(entries: [], next: nil) }
        var values = try await commands.read(
            .getPage,
            keys: [names.version] + keys.map(names.entry),
            [Array(1 << 20)]
        )
        let now = try values.integer()
        var entries: [StoreEntry?] = []
        while !values.isAtEnd { entries.append(try values.entry(at: now)) }
        guard (1...keys.count).contains(entries.count) else { throw .malformedReply }
        keys = Array(keys.prefix(entries.count))
        let missing = zip(keys, entries).filter { $1 == nil }.map(\.0)
        if !missing.isEmpty {
            // The entries were read. Without the removal, the store itself removes the keys later.
            try? await commands.prune(missing.map { (names.entry($0), $0.encoded) }, names.index)
        }
        return StorePage(
            entries: zip(keys, entries).compactMap { key, entry in entry.map { (key, $0) } },
            next: keys.count == count ? nil : keys.last
        )
    }
}
