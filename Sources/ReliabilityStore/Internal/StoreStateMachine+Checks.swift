/// The checks before a call to a store.
extension StoreStateMachine {
    /// Rejects mutations without room, after all expired entries are reclaimed.
    mutating func checkCapacity(for mutations: [StoreMutation]) throws(StoreError) {
        if !exceedsLimits(mutations) { return }
        reclaim(atMost: .max)
        // Checked again, because an entry that a mutation replaces may have been reclaimed.
        if exceedsLimits(mutations) {
            throw StoreError(
                .capacityExceeded,
                "the store has no room: it holds \(entries.count + recordCount) of at most \(limits.maxEntries) entries "
                    + "and records in \(byteCount) of at most \(limits.maxBytes) bytes"
            )
        }
    }

    func exceedsLimits(_ mutations: [StoreMutation]) -> Bool {
        var newEntries = 0
        var newBytes = 0
        for mutation in mutations {
            switch mutation {
            case .put(let key, let new):
                let old = entries[key]
                newEntries += old == nil ? 1 : 0
                newBytes += new.value.count - (old?.value.count ?? -(key.byteCount + 64))
            case .remove(let key):
                guard let old = entries[key] else { continue }
                newEntries -= 1
                newBytes -= key.byteCount + old.value.count + 64
            case .putRecord(let record):
                let old = queues[QueueName(record.queue)]?.records[Array(record.id.utf8)]
                newEntries += old == nil ? 1 : 0
                newBytes += record.byteCount - (old?.byteCount ?? 0)
            case .removeRecord: break  // Never part of a commit.
            }
        }
        return (newEntries > 0 && entries.count + recordCount + newEntries > limits.maxEntries)
            || (newBytes > 0 && byteCount + newBytes > limits.maxBytes)
    }

    func checkCommit(_ writes: [StoreWrite], _ records: [NewRecord]) throws(StoreError) {
        try checkKeys(writes.map(\.key))
        guard writes.count + records.count <= capabilities.maxWrites else {
            let count = writes.count + records.count
            throw invalid("a commit must have at most \(capabilities.maxWrites) writes and records (has \(count))")
        }
        for case .put(_, let value, _, _) in writes where value.count > capabilities.maxValueBytes {
            throw invalid("a value must have at most \(capabilities.maxValueBytes) bytes (has \(value.count))")
        }
        try checkRecords(records)
    }

    func checkKeys(_ keys: [StoreKey]) throws(StoreError) {
        for key in keys { try check(key) }
        if keys.count > 1, Set(keys).count != keys.count { throw invalid("a key appears twice in a call") }
        guard keys.count <= capabilities.maxWrites else {
            throw invalid("a call must have at most \(capabilities.maxWrites) keys (has \(keys.count))")
        }
    }

    func check(_ key: StoreKey) throws(StoreError) {
        if key.byteCount > capabilities.maxKeyBytes {
            throw invalid("a key must have at most \(capabilities.maxKeyBytes) bytes (has \(key.byteCount))")
        }
    }

    func checkPositive(_ number: Int, _ name: String) throws(StoreError) {
        if number < 1 { throw invalid("\(name) must be at least 1 (is \(number))") }
    }

    func invalid(_ explanation: String) -> StoreError { StoreError(.invalid, explanation) }
}
