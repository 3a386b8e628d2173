internal import ReliabilityCore
public import ReliabilityStore

extension PostgresStore {
    /// Adds records in one step.
    public func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult] {
        try checkCancellation()
        try capabilities.checkEnqueue(records)
        if records.isEmpty { return [] }
        return try Self.enqueueResults(try await commands.write(statements.enqueue, records.arguments), records.count)
    }

    /// Registers an action for new records of a queue.
    ///
    /// The store calls the action only with ``Configuration/usesNotifications``. A lost connection of the notifications
    /// is replaced, and the action is then called once.
    public func onEnqueue(_ queue: QueueName, _ action: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
        guard let listener else { return {} }
        return listener.add(queue, action)
    }

    static func enqueueResults(_ rows: [[[UInt8]?]], _ count: Int) throws(StoreError) -> [EnqueueResult] {
        guard rows.count == count else { throw .malformedReply }
        var results: [EnqueueResult] = []
        for row in rows {
            var row = RowReader(row)
            results.append(try EnqueueResult(flag: Int64(try row.integer(Int16.self))))
        }
        return results
    }

    /// Claims due records under a lease.
    ///
    /// A transaction of a user may add a record long after the record was due. Other records may be claimed before such
    /// a record for at most one second.
    public func claim(
        _ queue: QueueName,
        limit: Int,
        lease: Duration
    ) async throws(StoreError) -> [RecordClaim] {
        try checkCancellation()
        try capabilities.checkClaim(queue, limit: limit, lease: lease)
        let limit = min(limit, capabilities.maxWrites)
        let floor = floors.withLock { $0.begin(queue, now: continuousNanoseconds()) }
        let rows = try await commands.write(
            statements.claim,
            [
                .bytes(Array(queue.description.utf8)), .int4(Int32(limit)), .int8(lease.microsecondsUp), .int8(floor),
            ]
        )
        var claims: [(due: Int64, order: Int64, claim: RecordClaim)] = []
        for row in rows {
            var row = RowReader(row)
            let claim = RecordClaim(
                queue: queue,
                id: try row.text(),
                token: try row.version(),
                attempt: Int(try row.integer(Int32.self)),
                wasAbandoned: try row.integer(Int16.self) == 1,
                payload: try row.bytes()
            )
            claims.append((try row.integer(), try row.integer(), claim))
        }
        claims.sort { ($0.due, $0.order) < ($1.due, $1.order) }
        let lastDue = claims.count == limit ? claims.last?.due : nil
        floors.withLock { $0.end(queue, lastDue: lastDue, now: continuousNanoseconds()) }
        return claims.map(\.claim)
    }

    /// Settles records in one step.
    public func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult] {
        try checkCancellation()
        try capabilities.checkSettlements(settlements)
        if settlements.isEmpty { return [] }
        let arguments = settlements.map(\.arguments)
        let rows = try await commands.write(
            statements.settle,
            [
                .bytesArray(settlements.map { Array<UInt8>($0.queue.description.utf8) }),
                .bytesArray(settlements.map { Array<UInt8>($0.id.utf8) }),
                .int8Array(settlements.map(\.token.stored)), .int2Array(arguments.map(\.action)),
                .int8Array(arguments.map(\.wait)), .bytesArray(arguments.map(\.reason)),
            ]
        )
        guard rows.count == settlements.count else { throw .malformedReply }
        var results: [SettleResult] = []
        for row in rows {
            var row = RowReader(row)
            results.append(try row.bool() ? .settled : .stale)
        }
        return results
    }

    /// Returns the time until the next record of the queue is due or the next lease ends.
    public func nextDue(_ queue: QueueName) async throws(StoreError) -> Duration? {
        try capabilities.check(queue)
        let rows = try await commands.read(statements.nextDue, [.bytes(Array(queue.description.utf8))])
        guard let first = rows.first else { return nil }
        var row = RowReader(first)
        return .microseconds(try row.integer(Int64.self))
    }

    /// Returns the numbers of records in the queue.
    ///
    /// The server counts the records, so the call takes longer for a longer queue.
    public func counts(_ queue: QueueName) async throws(StoreError) -> RecordCounts {
        try capabilities.check(queue)
        let rows = try await commands.read(statements.counts, [.bytes(Array(queue.description.utf8))])
        guard let first = rows.first else { throw .malformedReply }
        var row = RowReader(first)
        let pending = Int(try row.integer(Int64.self))
        return RecordCounts(pending: pending, deadLetters: Int(try row.integer(Int64.self)))
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
        let rows = try await commands.read(
            state == .pending ? statements.pending : statements.deadLetters,
            [
                .bytes(Array(queue.description.utf8)), .bytes(Array((after ?? "").utf8)),
                .int4(Int32(min(limit, 256))),
            ]
        )
        var records: [RecordInfo] = []
        var total: Int64 = 0
        for row in rows {
            var row = RowReader(row)
            let now: Int64 = try row.integer()
            total = try row.integer()
            records.append(try RecordInfo(&row, at: now))
        }
        return RecordPage(records: records, next: records.count < total ? records.last?.id : nil)
    }
}

extension RecordClaim {
    /// Creates a claim from its parts in the order of the server's answer.
    fileprivate init(
        queue: QueueName,
        id: String,
        token: StoreVersion,
        attempt: Int,
        wasAbandoned: Bool,
        payload: [UInt8]
    ) {
        self.init(queue: queue, id: id, payload: payload, attempt: attempt, token: token, wasAbandoned: wasAbandoned)
    }
}

extension RecordInfo {
    /// Creates a description from the columns of a page.
    fileprivate init(_ row: inout RowReader, at now: Int64) throws(StoreError) {
        let id = try row.text()
        let payload = try row.bytes()
        let version = try row.version()
        let attempts = Int(try row.integer(Int32.self))
        let state: Int16 = try row.integer()
        let due: Int64 = try row.integer()
        let reason = try row.bytesOrNull()
        let wait = Duration.untilMicrosecond(due, from: now)
        self.init(
            id: id,
            payload: payload,
            version: version,
            attempts: attempts,
            isLeased: state == 1 && due > now,
            due: state == 2 ? min(.zero, wait) : wait,
            deadLetterReason: state == 2 ? String(decoding: reason ?? [], as: UTF8.self) : nil
        )
    }
}
