internal import ReliabilityCore

/// A queue's name, compared by its bytes.
struct RecordQueueName: Hashable {
    private let bytes: [UInt8]
    init(_ name: String) { bytes = Array(name.utf8) }
}

extension StoreState.Queue {
    mutating func set(_ id: [UInt8], to new: StoredRecord?) {
        let old = records[id]
        if old?.deadReason != nil { deadCount -= 1 }
        records[id] = new
        guard let new else { return }
        if new.deadReason != nil {
            deadCount += 1
        } else if new.version != old?.version || new.dueAt != old?.dueAt || old?.deadReason != nil {
            due.insert(StoreState.Due(at: new.dueAt, version: new.version, id: new.id))
            if due.count > 64 + 4 * records.count {
                let current = self
                due.compact { !current.isCurrent($0) }
            }
        }
    }

    /// Drops outdated index entries from the front.
    mutating func settleIndex() {
        while let first = due.first, !isCurrent(first) { _ = due.removeFirst() }
    }
}

extension StoreState {
    func planEnqueue(
        _ records: [NewRecord],
        version: inout UInt64
    ) -> StorePlan<[EnqueueResult]> {
        var plan = StorePlan<[EnqueueResult]>(result: [], mutations: [])
        var added: [[[UInt8]]: [UInt8]] = [:]
        for record in records {
            let id = Array(record.id.utf8)
            let name = [Array(record.queue.description.utf8), id]
            let there = queues[RecordQueueName(record.queue.description)]?.records[id]
            if let payload = there?.payload ?? added[name] {
                let isDead = there?.deadReason != nil
                let isSame = !isDead && payload == record.payload
                plan.result.append(isSame ? .duplicate : .taken(by: isDead ? .dead : .pending))
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
                deadReason: nil
            )
            version += 1
            plan.mutations.append(.putRecord(stored))
            plan.result.append(.enqueued)
        }
        return plan
    }

    package mutating func planEnqueue(_ records: [NewRecord]) throws(StoreError) -> StorePlan<[EnqueueResult]> {
        try checkRecords(records)
        guard records.count <= capabilities.maximumWrites else {
            throw invalid("\(records.count) records in one commit, of at most \(capabilities.maximumWrites)")
        }
        var version = nextVersion
        let plan = planEnqueue(records, version: &version)
        try checkCapacity(for: plan.mutations)
        return plan
    }

    package mutating func planClaim(
        _ queue: RecordQueue,
        limit: Int,
        lease: Duration
    ) throws(StoreError) -> StorePlan<[RecordClaim]> {
        try checkQueue(queue)
        try checkPositive(limit, "limit")
        try checkLease(lease)
        let name = RecordQueueName(queue.description)
        var plan = StorePlan<[RecordClaim]>(result: [], mutations: [])
        guard var state = queues[name] else { return plan }
        queues[name] = nil  // So that the index below is changed in place, not copied.
        defer { queues[name] = state }
        var taken: [Due] = []
        var version = nextVersion
        while taken.count < min(limit, capabilities.maximumWrites) {
            state.settleIndex()
            guard let first = state.due.first, first.at <= now / 1_000_000 else { break }
            _ = state.due.removeFirst()
            // A record whose due time was moved away and back is in the index twice.
            if taken.last == first { continue }
            taken.append(first)
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
        // Nothing has changed until the plan is applied; then these are outdated and fall out of the index.
        for due in taken { state.due.insert(due) }
        return plan
    }

    package mutating func planSettle(_ settlements: [Settlement]) throws(StoreError) -> StorePlan<[SettleResult]> {
        guard settlements.count <= capabilities.maximumWrites else {
            throw invalid("\(settlements.count) settlements at once, of at most \(capabilities.maximumWrites)")
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
            let stored = queues[RecordQueueName(settlement.queue.description)]?.records[id]
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

    /// What an action does to a record; nil when the record's state does not allow it.
    private func mutation(
        for action: Settlement.Action,
        of record: StoredRecord,
        version: inout UInt64
    ) -> StoreMutation? {
        var record = record
        let isDead = record.deadReason != nil
        switch action {
        case .done:
            return .removeRecord(queue: record.queue, id: record.id)
        case .retry(let wait, let countsAttempt):
            if isDead { return nil }
            if !countsAttempt { record.attempts = max(0, record.attempts - 1) }
            record.dueAt = instant(after: wait)
            record.isLeased = false
        case .holdBack(let wait):
            if isDead { return nil }
            record.attempts = max(0, record.attempts - 1)
            record.dueAt = instant(after: wait)
            record.isLeased = true
        case .extend(let lease):
            if isDead { return nil }
            record.dueAt = instant(after: lease)
            return .putRecord(record)
        case .dead(let reason):
            if isDead { return nil }
            record.deadReason = Self.beginning(of: reason, bytes: 1024)
            record.dueAt = now / 1_000_000
            record.isLeased = false
        case .redrive:
            if !isDead { return nil }
            record.deadReason = nil
            record.attempts = 0
            record.dueAt = now / 1_000_000
        }
        record.version = version
        version += 1
        return .putRecord(record)
    }

    /// The longest beginning of a text that fits, without part of a character.
    private static func beginning(of text: String, bytes: Int) -> String {
        let bytes = text.utf8.prefix(bytes)
        var end = bytes.endIndex
        // What continues a character begins with the bits 10.
        while end < text.utf8.endIndex, end > bytes.startIndex, text.utf8[end] & 0b1100_0000 == 0b1000_0000 {
            end = text.utf8.index(before: end)
        }
        return String(text[..<end])
    }

    package mutating func nextDue(_ queue: RecordQueue) throws(StoreError) -> Duration? {
        try checkQueue(queue)
        let name = RecordQueueName(queue.description)
        queues[name]?.settleIndex()
        guard let first = queues[name]?.due.first else { return nil }
        return max(.zero, wait(until: first.at))
    }

    private func wait(until millisecond: Int64) -> Duration {
        .nanoseconds(millisecond.saturatingMultiply(1_000_000).saturatingSubtract(now))
    }

    package func counts(_ queue: RecordQueue) throws(StoreError) -> RecordCounts {
        try checkQueue(queue)
        guard let state = queues[RecordQueueName(queue.description)] else { return RecordCounts(pending: 0, dead: 0) }
        return RecordCounts(pending: state.records.count - state.deadCount, dead: state.deadCount)
    }

    package func page(
        _ queue: RecordQueue,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) throws(StoreError) -> RecordPage {
        try checkQueue(queue)
        try checkPositive(limit, "limit")
        let start = after.map { Array($0.utf8) }
        let records = queues[RecordQueueName(queue.description)]?.records ?? [:]
        let matching = records.filter { id, record in
            (record.deadReason != nil) == (state == .dead)
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
                due: record.deadReason == nil ? wait(until: record.dueAt) : min(.zero, wait(until: record.dueAt)),
                deadReason: record.deadReason
            )
        }
        return RecordPage(records: page, next: sorted.count > limit ? page.last?.id : nil)
    }

    /// Ends every lease: what a store with one owner does when it is opened, for the owner before is gone.
    ///
    /// That it was not settled stays known.
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
                throw invalid("a record's id has 1 to 256 bytes (has \(record.id.utf8.count))")
            }
            if record.payload.count > capabilities.maximumValueBytes {
                let limit = capabilities.maximumValueBytes
                throw invalid("a payload of \(record.payload.count) bytes, of at most \(limit)")
            }
        }
    }

    private func checkQueue(_ queue: RecordQueue) throws(StoreError) {
        guard (1...64).contains(queue.description.utf8.count) else {
            throw invalid("a queue's name has 1 to 64 bytes (has \(queue.description.utf8.count))")
        }
    }

    private func checkLease(_ lease: Duration) throws(StoreError) {
        if lease <= .zero { throw invalid("a lease must be positive (is \(lease))") }
    }
}
