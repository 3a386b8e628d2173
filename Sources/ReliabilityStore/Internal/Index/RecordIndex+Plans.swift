internal import ReliabilityCore

/// The plans of changes of records.
///
/// A plan changes nothing. Each plan takes the version of the next change and advances the version.
extension RecordIndex {
    /// Plans new records.
    ///
    /// - Returns: The plan and the counted size of the new records.
    func planEnqueue(
        _ records: [NewRecord],
        version: inout UInt64,
        at now: Int64
    ) -> (plan: StorePlan<[EnqueueResult]>, delta: StoreDelta) {
        var plan = StorePlan<[EnqueueResult]>(result: [], mutations: [])
        var delta = StoreDelta()
        // The payloads of the new records, for a record that the call contains twice.
        var added: [[UInt8]: [UInt8]] = [:]
        for record in records {
            let existing = self.record(record.queue, record.id)
            let key = records.count > 1 ? Self.key(record.queue.description, record.id) : []
            if let payload = existing?.payload ?? added[key] {
                let isDeadLetter = existing?.isDeadLetter == true
                let isSame = !isDeadLetter && payload == record.payload
                plan.result.append(isSame ? .duplicate : .taken(by: isDeadLetter ? .deadLetter : .pending))
                continue
            }
            if records.count > 1 { added[key] = record.payload }
            let stored = StoredRecord(
                queue: record.queue.description,
                id: record.id,
                payload: record.payload,
                version: version,
                attempts: 0,
                dueAt: unixMilliseconds(after: record.delay, from: now),
                isLeased: false,
                deadLetterReason: nil
            )
            version += 1
            delta += StoreDelta(items: 1, bytes: stored.byteCount)
            plan.mutations.append(.putRecord(stored))
            plan.result.append(.enqueued)
        }
        return (plan, delta)
    }

    func planClaim(
        _ queue: QueueName,
        limit: Int,
        lease: Duration,
        version: inout UInt64,
        at now: Int64
    ) -> StorePlan<[RecordClaim]> {
        var plan = StorePlan<[RecordClaim]>(result: [], mutations: [])
        for item in due(queue, limit: limit, at: now / 1_000_000) {
            var record = item.stored
            let wasAbandoned = record.isLeased
            record.version = version
            record.attempts = min(record.attempts, .max - 1) + 1
            record.dueAt = unixMilliseconds(after: lease, from: now)
            record.isLeased = true
            version += 1
            plan.mutations.append(.putRecord(record))
            plan.result.append(
                RecordClaim(
                    queue: queue,
                    id: record.id,
                    payload: record.payload,
                    attempt: record.attempts,
                    token: StoreVersion(rawValue: record.version),
                    wasAbandoned: wasAbandoned
                )
            )
        }
        return plan
    }

    func planSettle(
        _ settlements: [Settlement],
        version: inout UInt64,
        at now: Int64
    ) -> StorePlan<[SettleResult]> {
        var plan = StorePlan<[SettleResult]>(result: [], mutations: [])
        for settlement in settlements {
            guard let record = record(settlement.queue, settlement.id), record.version == settlement.token.rawValue,
                let mutation = Self.mutation(for: settlement.action, of: record, version: &version, at: now)
            else {
                plan.result.append(.stale)
                continue
            }
            plan.mutations.append(mutation)
            plan.result.append(.settled)
        }
        return plan
    }

    /// Returns the mutation for an action on a record, or `nil` if the record's state does not allow the action.
    private static func mutation(
        for action: Settlement.Action,
        of item: RecordItem,
        version: inout UInt64,
        at now: Int64
    ) -> StoreMutation? {
        if case .done = action { return .removeRecord(queue: item.queue, id: item.id) }
        if item.isDeadLetter != (action == .redrive) { return nil }
        var record = item.stored
        switch action {
        case .done:
            break
        case .retry(let wait, let countsAttempt):
            if !countsAttempt { record.attempts = max(0, record.attempts - 1) }
            record.dueAt = unixMilliseconds(after: wait, from: now)
            record.isLeased = false
        case .holdBack(let wait):
            record.attempts = max(0, record.attempts - 1)
            record.dueAt = unixMilliseconds(after: wait, from: now)
            record.isLeased = true
        case .extend(let lease):
            record.dueAt = unixMilliseconds(after: lease, from: now)
            return .putRecord(record)
        case .deadLetter(let reason):
            record.deadLetterReason = reason.prefix(bytes: 1024)
            record.dueAt = now / 1_000_000
            record.isLeased = false
        case .redrive:
            record.deadLetterReason = nil
            record.attempts = 0
            record.dueAt = now / 1_000_000
        }
        record.version = version
        version += 1
        return .putRecord(record)
    }

    /// The largest number of entries or records on a page.
    static var pageLimit: Int { 256 }
    /// The number of value bytes after which a page ends.
    static var pageBytes: Int { 1 << 20 }

    /// Reads records of one state in the order of the bytes of their ids.
    func page(_ queue: QueueName, _ state: RecordState, after: String?, limit: Int, at now: Int64) -> RecordPage {
        let limit = min(limit, Self.pageLimit)
        var records: [RecordInfo] = []
        var bytes = 0
        var next: String?
        Self.key(queue.description, "").withKeyBytes { prefix in
            Self.key(queue.description, after ?? "").withKeyBytes { start in
                forEach(state, from: start, afterEqual: after != nil) { record in
                    guard record.item.key.hasPrefix(prefix) else { return false }
                    guard records.count < limit, bytes < Self.pageBytes else {
                        next = records.last?.id
                        return false
                    }
                    bytes += record.item.valueCount
                    records.append(record.info(at: now))
                    return true
                }
            }
        }
        return RecordPage(records: records, next: next)
    }
}

extension RecordItem {
    /// Returns the record as a page shows the record.
    func info(at now: Int64) -> RecordInfo {
        let wait = Duration.untilUnixMilliseconds(dueAt, from: now)
        return RecordInfo(
            id: id,
            payload: payload,
            version: StoreVersion(rawValue: version),
            attempts: attempts,
            isLeased: isLeased && dueAt > now / 1_000_000,
            due: isDeadLetter ? min(.zero, wait) : wait,
            deadLetterReason: deadLetterReason
        )
    }
}

extension Duration {
    /// Returns the time from `now`, in Unix nanoseconds, until a Unix millisecond.
    static func untilUnixMilliseconds(_ millisecond: Int64, from now: Int64) -> Duration {
        .nanoseconds(millisecond.saturatingMultiply(1_000_000).saturatingSubtract(now))
    }
}
