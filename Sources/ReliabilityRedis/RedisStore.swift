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
    /// The limits and guarantees of the store.
    public let capabilities: StoreCapabilities
    private let commands: RedisCommands
    private let names: RedisNames

    package init(_ connection: any RedisTransport, configuration: Configuration) async throws(StoreError) {
        names = RedisNames(configuration)
        commands = RedisCommands(connection)
        capabilities = StoreCapabilities(durability: .none, openedAt: nil, canStall: true)
        try await commands.loadScripts()
    }

    /// Closes the connections.
    public func close() async { await commands.close() }

    private func checkCancellation() throws(StoreError) {
        if Task.isCancelled { throw StoreError(.cancelled, "the task was cancelled before the write") }
    }

    // MARK: Entries

    /// Reads entries at a single point in time.
    public func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        for key in keys { try capabilities.check(key) }
        if keys.isEmpty { return [] }
        var reply = try await commands.read(.get, keys: [names.version] + keys.map(names.entry), [])
        let now = try reply.integer()
        var entries: [StoreEntry?] = []
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
        var arguments = [Array(String(writes.count).utf8)]
        for write in writes { arguments += write.arguments(member: names.member(of: write.key)) }
        let (queueKeys, recordArguments) = names.arguments(of: records)
        let keys = [names.version, names.index] + writes.map { names.entry($0.key) } + queueKeys
        let grows = !records.isEmpty || writes.contains(where: \.isPut)
        var reply = try await commands.write(
            grows ? .commit : .commitWithoutGrowth,
            keys: keys,
            arguments + recordArguments
        )
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
        var arguments: [[UInt8]] = []
        for (key, update) in updates {
            let (kind, constants) = update.arguments
            arguments += [kind, constants, names.member(of: key)]
        }
        let keys = [names.version, names.index] + updates.map { names.entry($0.key) }
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
    /// The keys of a page are read first and then the entries. An entry that is removed between the two is left out.
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
        let isLast = keys.count <= limit
        keys = Array(keys.prefix(limit))
        let entries = try await get(keys)
        let missing = zip(keys, entries).filter { $1 == nil }.map(\.0)
        if !missing.isEmpty {
            try await commands.prune(missing.map { (names.entry($0), $0.encoded) }, names.index)
        }
        return StorePage(
            entries: zip(keys, entries).compactMap { key, entry in entry.map { (key, $0) } },
            next: isLast ? nil : keys.last
        )
    }

    // MARK: Records

    /// Adds records in one step.
    public func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult] {
        try checkCancellation()
        try capabilities.checkEnqueue(records)
        if records.isEmpty { return [] }
        let (keys, arguments) = names.arguments(of: records)
        var reply = try await commands.write(.enqueue, keys: [names.version] + keys, arguments)
        _ = try reply.integer()
        var flags = try reply.array()
        var results: [EnqueueResult] = []
        for _ in records { results.append(try EnqueueResult(flag: try flags.integer())) }
        return results
    }

    /// Claims due records under a lease.
    public func claim(
        _ queue: QueueName,
        limit: Int,
        lease: Duration
    ) async throws(StoreError) -> [RecordClaim] {
        try checkCancellation()
        try capabilities.checkClaim(queue, limit: limit, lease: lease)
        var reply = try await commands.write(
            .claim,
            keys: [names.version, names.dueTimes(queue), names.states(queue), names.payloads(queue)],
            [Array(min(limit, capabilities.maxWrites)), Array(lease.microsecondsUp)]
        )
        _ = try reply.integer()
        var claims: [RecordClaim] = []
        while !reply.isAtEnd {
            var parts = try reply.array()
            let id = try parts.bytes()
            let token = try parts.integer()
            let attempt = try parts.integer()
            let kind = try parts.integer()
            claims.append(
                RecordClaim(
                    queue: queue,
                    id: String(decoding: id, as: UTF8.self),
                    payload: try parts.bytes(),
                    attempt: Int(attempt),
                    token: StoreVersion(microseconds: token),
                    wasAbandoned: kind == 1
                )
            )
        }
        return claims
    }

    /// Settles records in one step.
    public func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult] {
        try checkCancellation()
        try capabilities.checkSettlements(settlements)
        if settlements.isEmpty { return [] }
        let (keys, numbers) = names.queues(settlements.map(\.queue))
        let arguments = zip(settlements, numbers).flatMap { $0.arguments(queue: $1) }
        var reply = try await commands.write(.settle, keys: [names.version] + keys, arguments)
        _ = try reply.integer()
        var results: [SettleResult] = []
        for _ in settlements { results.append(try reply.integer() == 1 ? .settled : .stale) }
        return results
    }

    private func state(of queue: QueueName) async throws(StoreError) -> (due: Duration?, counts: RecordCounts) {
        try capabilities.check(queue)
        var reply = try await commands.read(
            .queue,
            keys: [names.version, names.dueTimes(queue), names.pending(queue), names.deadLetters(queue)],
            []
        )
        let now = try reply.integer()
        let due = try reply.integerOrNull().map { Duration.untilMicrosecond($0, from: now) }
        let pending = Int(try reply.integer())
        return (due, RecordCounts(pending: pending, deadLetters: Int(try reply.integer())))
    }

    /// Returns the time until the next record of the queue is due or the next lease ends.
    public func nextDue(_ queue: QueueName) async throws(StoreError) -> Duration? { try await state(of: queue).due }

    /// Returns the numbers of records in the queue.
    public func counts(_ queue: QueueName) async throws(StoreError) -> RecordCounts {
        try await state(of: queue).counts
    }

    /// Reads records of one state.
    ///
    /// A page has at most 256 records and ends after about 1 MiB of payloads.
    public func page(
        _ queue: QueueName,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) async throws(StoreError) -> RecordPage {
        try capabilities.check(queue)
        try capabilities.checkPositive(limit, "limit")
        let ids = state == .pending ? names.pending(queue) : names.deadLetters(queue)
        var reply = try await commands.read(
            .page,
            keys: [names.version, names.states(queue), names.payloads(queue), ids],
            [after.map { Array("(\($0)") } ?? Array("-"), Array(min(limit, 256)), Array(1 << 20)]
        )
        let now = try reply.integer()
        let hasMore = try reply.integer() == 1
        var records: [RecordInfo] = []
        while !reply.isAtEnd {
            var parts = try reply.array()
            records.append(
                try RecordInfo(id: try parts.bytes(), state: try parts.bytes(), payload: try parts.bytes(), at: now)
            )
        }
        return RecordPage(records: records, next: hasMore ? records.last?.id : nil)
    }
}
