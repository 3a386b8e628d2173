public import ReliabilityStore

extension RedisStore {
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
