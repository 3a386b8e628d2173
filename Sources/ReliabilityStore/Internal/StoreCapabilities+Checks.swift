/// The checks before a call to a store.
extension StoreCapabilities {
    package func checkCommit(_ writes: [StoreWrite], _ records: [NewRecord]) throws(StoreError) {
        for write in writes { try check(write) }
        if writes.count > 1 { try checkDistinct(writes.map(\.key)) }
        guard writes.count + records.count <= maxWrites else {
            let count = writes.count + records.count
            throw invalid("a commit must have at most \(maxWrites) writes and records (has \(count))")
        }
        try check(records)
    }

    package func check(_ write: StoreWrite) throws(StoreError) {
        try check(write.key)
        if case .put(_, let value, _, _) = write, value.count > maxValueBytes {
            throw invalid("a value must have at most \(maxValueBytes) bytes (has \(value.count))")
        }
    }

    package func checkUpdates(_ updates: [(key: StoreKey, update: AtomicUpdate)]) throws(StoreError) {
        for update in updates { try check(update.key) }
        if updates.count > 1 { try checkDistinct(updates.map(\.key)) }
        guard updates.count <= maxWrites else {
            throw invalid("a call must have at most \(maxWrites) keys (has \(updates.count))")
        }
    }

    package func checkEnqueue(_ records: [NewRecord]) throws(StoreError) {
        try check(records)
        guard records.count <= maxWrites else {
            throw invalid("a call must have at most \(maxWrites) records (has \(records.count))")
        }
    }

    package func checkClaim(_ queue: QueueName, limit: Int, lease: Duration) throws(StoreError) {
        try check(queue)
        try checkPositive(limit, "limit")
        try checkLease(lease)
    }

    package func checkSettlements(_ settlements: [Settlement]) throws(StoreError) {
        guard settlements.count <= maxWrites else {
            throw invalid("a call must have at most \(maxWrites) settlements (has \(settlements.count))")
        }
        var seen: Set<[UInt8]> = []
        for settlement in settlements {
            if case .extend(let lease) = settlement.action { try checkLease(lease) }
            if settlements.count == 1 { return }
            guard seen.insert(RecordIndex.key(settlement.queue.description, settlement.id)).inserted else {
                throw invalid("a record appears twice in one call to settle")
            }
        }
    }

    package func check(_ key: StoreKey) throws(StoreError) {
        if key.byteCount > maxKeyBytes {
            throw invalid("a key must have at most \(maxKeyBytes) bytes (has \(key.byteCount))")
        }
    }

    package func check(_ queue: QueueName) throws(StoreError) {
        guard (1...64).contains(queue.description.utf8.count) else {
            throw invalid("a queue's name must have 1 to 64 bytes (has \(queue.description.utf8.count))")
        }
    }

    package func checkPositive(_ number: Int, _ name: String) throws(StoreError) {
        if number < 1 { throw invalid("\(name) must be at least 1 (is \(number))") }
    }

    private func checkDistinct(_ keys: [StoreKey]) throws(StoreError) {
        if Set(keys).count != keys.count { throw invalid("a key appears twice in a call") }
    }

    private func check(_ records: [NewRecord]) throws(StoreError) {
        for record in records {
            try check(record.queue)
            guard (1...256).contains(record.id.utf8.count) else {
                throw invalid("a record's id must have 1 to 256 bytes (has \(record.id.utf8.count))")
            }
            if record.payload.count > maxValueBytes {
                throw invalid("a payload must have at most \(maxValueBytes) bytes (has \(record.payload.count))")
            }
        }
    }

    private func checkLease(_ lease: Duration) throws(StoreError) {
        if lease <= .zero { throw invalid("a lease must be positive (is \(lease))") }
    }

    private func invalid(_ explanation: String) -> StoreError { StoreError(.invalid, explanation) }
}
