internal import ReliabilityCore

extension StoreStateMachine.Queue {
    mutating func set(_ id: [UInt8], to new: StoredRecord?) {
        let old = records[id]
        if old?.deadLetterReason != nil { deadLetterCount -= 1 }
        records[id] = new
        guard let new else { return }
        if new.deadLetterReason != nil {
            deadLetterCount += 1
        } else if new.version != old?.version || new.dueAt != old?.dueAt || old?.deadLetterReason != nil {
            dueIndex.insert(StoreStateMachine.DueEntry(at: new.dueAt, version: new.version, id: new.id))
            if dueIndex.count > 64 + 4 * records.count {
                let current = self
                dueIndex.compact { !current.isCurrent($0) }
            }
        }
    }

    /// Removes outdated entries from the front of the due index.
    mutating func removeOutdatedDueEntries() {
        while let first = dueIndex.first, !isCurrent(first) { _ = dueIndex.removeFirst() }
    }
}

extension StoreStateMachine {
    func planEnqueue(
        _ records: [NewRecord],
        version: inout UInt64
    ) -> StorePlan<[EnqueueResult]> {
        var plan = StorePlan<[EnqueueResult]>(result: [], mutations: [])
        var added: [[[UInt8]]: [UInt8]] = [:]
        for record in records {
            let id = Array(record.id.utf8)
            let name = [Array(record.queue.description.utf8), id]
            let existing = queues[record.queue]?.records[id]
            if let payload = existing?.payload ?? added[name] {
                let isDeadLetter = existing?.deadLetterReason != nil
                let isSame = !isDeadLetter && payload == record.payload
                plan.result.append(isSame ? .duplicate : .taken(by: isDeadLetter ? .deadLetter : .pending))
                continue
            }
            added[name] = record.payload
            let stored = StoredRecord(
                queue: record.queue.description,
                id: record.id,
                payload: record.payload,
                version: version,
                attempts: 0,
                dueAt: instant(after: record.delay),
                isLeased: false,
                deadLetterReason: nil
            )
            version += 1
            plan.mutations.append(.putRecord(stored))
            plan.result.append(.enqueued)
        }
        return plan
    }

    package mutating func planEnqueue(_ records: [NewRecord]) throws(StoreError) -> StorePlan<[EnqueueResult]> {
        try checkRecords(records)
        guard records.count <= capabilities.maxWrites else {
            throw invalid("a call must have at most \(capabilities.maxWrites) records (has \(records.count))")
        }
        var version = nextVersion
        let plan = planEnqueue(records, version: &version)
        try checkCapacity(for: plan.mutations)
        return plan
    }

    package mutating func planClaim(
        _ queue: QueueName,
        limit: Int,
        lease: Duration
    ) throws(StoreError) -> StorePlan<[RecordClaim]> {
        try checkQueue(queue)
        try checkPositive(limit, "limit")
        try checkLease(lease)
        let name = queue
        var plan = StorePlan<[RecordClaim]>(result: [], mutations: [])
        guard var state = queues[name] else { return plan }
        queues[name] = nil  // The index is then changed in place and not copied.
        defer { queues[name] = state }
        var claimed: [DueEntry] = []
        var version = nextVersion
        while claimed.count < min(limit, capabilities.maxWrites) {
            state.removeOutdatedDueEntries()
            guard let first = state.dueIndex.first, first.at <= now / 1_000_000 else { break }
            _ = state.dueIndex.removeFirst()
            // The index contains a record twice if its due time was changed and changed back.
            if claimed.last == first { continue }
            claimed.append(first)
            guard var record = state.records[Array(first.id.utf8)] else { continue }
            let wasAbandoned = record.isLeased
            record.version = version
            record.attempts = min(record.attempts, .max - 1) + 1
            record.dueAt = instant(after: lease)
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
        // Nothing changes before the plan is applied. Afterwards, the reinserted entries are outdated and get removed.
        for entry in claimed { state.dueIndex.insert(entry) }
        return plan
    }

    package mutating func planSettle(_ settlements: [Settlement]) throws(StoreError) -> StorePlan<[SettleResult]> {
        guard settlements.count <= capabilities.maxWrites else {
            throw invalid("a call must have at most \(capabilities.maxWrites) settlements (has \(settlements.count))")
        }
        var seen: Set<[[UInt8]]> = []
        var plan = StorePlan<[SettleResult]>(result: [], mutations: [])
        var version = nextVersion
        for settlement in settlements {
            let id = Array(settlement.id.utf8)
            guard seen.insert([Array(settlement.queue.description.utf8), id]).inserted else {
                throw invalid("a record appears twice in one call to settle")
            }
            if case .extend(let lease) = settlement.action { try checkLease(lease) }
            let stored = queues[settlement.queue]?.records[id]
            guard let record = stored, record.version == settlement.token.rawValue,
                let mutation = mutation(for: settlement.action, of: record, version: &version)
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
    private func mutation(
        for action: Settlement.Action,
        of record: StoredRecord,
        version: inout UInt64
    ) -> StoreMutation? {
        var record = record
        let isDeadLetter = record.deadLetterReason != nil
        switch action {
        case .done:
            return .removeRecord(queue: record.queue, id: record.id)
        case .retry(let wait, let countsAttempt):
            if isDeadLetter { return nil }
            if !countsAttempt { record.attempts = max(0, record.attempts - 1) }
            record.dueAt = instant(after: wait)
            record.isLeased = false
        case .holdBack(let wait):
            if isDeadLetter { return nil }
            record.attempts = max(0, record.attempts - 1)
            record.dueAt = instant(after: wait)
            record.isLeased = true
        case .extend(let lease):
            if isDeadLetter { return nil }
            record.dueAt = instant(after: lease)
            return .putRecord(record)
        case .deadLetter(let reason):
            if isDeadLetter { return nil }
            record.deadLetterReason = reason.prefix(bytes: 1024)
            record.dueAt = now / 1_000_000
            record.isLeased = false
        case .redrive:
            if !isDeadLetter { return nil }
            record.deadLetterReason = nil
            record.attempts = 0
            record.dueAt = now / 1_000_000
        }
        record.version = version
        version += 1
        return .putRecord(record)
    }

    package mutating func nextDue(_ queue: QueueName) throws(StoreError) -> Duration? {
        try checkQueue(queue)
        let name = queue
        queues[name]?.removeOutdatedDueEntries()
        guard let first = queues[name]?.dueIndex.first else { return nil }
        return wait(until: first.at)
    }

    private func wait(until millisecond: Int64) -> Duration {
        .nanoseconds(millisecond.saturatingMultiply(1_000_000).saturatingSubtract(now))
    }

    package func counts(_ queue: QueueName) throws(StoreError) -> RecordCounts {
        try checkQueue(queue)
        let state = queues[queue] ?? Queue()
        return RecordCounts(pending: state.records.count - state.deadLetterCount, deadLetters: state.deadLetterCount)
    }

    package func page(
        _ queue: QueueName,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) throws(StoreError) -> RecordPage {
        try checkQueue(queue)
        try checkPositive(limit, "limit")
        let start = after.map { Array($0.utf8) }
        let records = queues[queue]?.records ?? [:]
        let matching = records.filter { id, record in
            (record.deadLetterReason != nil) == (state == .deadLetter)
                && (start.map { $0.lexicographicallyPrecedes(id) } ?? true)
        }
        let sorted = matching.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
        let page = sorted.prefix(limit).map { record in
            RecordInfo(
                id: record.id,
                payload: record.payload,
                version: StoreVersion(rawValue: record.version),
                attempts: record.attempts,
                isLeased: record.isLeased && record.dueAt > now / 1_000_000,
                due: record.deadLetterReason == nil ? wait(until: record.dueAt) : min(.zero, wait(until: record.dueAt)),
                deadLetterReason: record.deadLetterReason
            )
        }
        return RecordPage(records: page, next: sorted.count > limit ? page.last?.id : nil)
    }

    /// Ends all leases, for a store with one owner at its opening.
    ///
    /// The records still count as not settled.
    package mutating func endLeases() {
        for queue in queues.values {
            for var record in queue.records.values where record.isLeased {
                record.dueAt = min(record.dueAt, now / 1_000_000)
                apply([.putRecord(record)])
            }
        }
    }

    func checkRecords(_ records: [NewRecord]) throws(StoreError) {
        for record in records {
            try checkQueue(record.queue)
            guard (1...256).contains(record.id.utf8.count) else {
                throw invalid("a record's id must have 1 to 256 bytes (has \(record.id.utf8.count))")
            }
            if record.payload.count > capabilities.maxValueBytes {
                let limit = capabilities.maxValueBytes
                throw invalid("a payload must have at most \(limit) bytes (has \(record.payload.count))")
            }
        }
    }

    private func checkQueue(_ queue: QueueName) throws(StoreError) {
        guard (1...64).contains(queue.description.utf8.count) else {
            throw invalid("a queue's name must have 1 to 64 bytes (has \(queue.description.utf8.count))")
        }
    }

    private func checkLease(_ lease: Duration) throws(StoreError) {
        if lease <= .zero { throw invalid("a lease must be positive (is \(lease))") }
    }
}
