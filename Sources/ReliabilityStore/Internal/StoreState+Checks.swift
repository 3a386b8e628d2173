internal import ReliabilityCore

/// What a store refuses.
extension StoreState {
    mutating func checkCapacity(for mutations: [StoreMutation]) throws(StoreError) {
        if !exceedsLimits(mutations) { return }
        reclaim(atMost: .max)
        // Counted anew: an entry that one of the mutations replaces may have been reclaimed.
        if exceedsLimits(mutations) {
            throw StoreError(
                .capacityExceeded,
                "the store holds \(entries.count + recordCount) entries in \(byteCount) bytes, of at most "
                    + "\(limits.maximumEntries) in \(limits.maximumBytes)"
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
                let old = queues[RecordQueueName(record.queue)]?.records[Array(record.id.utf8)]
                newEntries += old == nil ? 1 : 0
                newBytes += record.byteCount - (old?.byteCount ?? 0)
            case .removeRecord: break  // Never part of a commit.
            }
        }
        return (newEntries > 0 && entries.count + recordCount + newEntries > limits.maximumEntries)
            || (newBytes > 0 && byteCount + newBytes > limits.maximumBytes)
    }

    func checkCommit(_ writes: [StoreWrite], _ records: [NewRecord]) throws(StoreError) {
        try checkKeys(writes.map(\.key))
        guard writes.count + records.count <= capabilities.maximumWrites else {
            let count = writes.count + records.count
            throw invalid("\(count) writes in one commit, of at most \(capabilities.maximumWrites)")
        }
        for case .put(_, let value, _, _) in writes where value.count > capabilities.maximumValueBytes {
            throw invalid("a value of \(value.count) bytes, of at most \(capabilities.maximumValueBytes)")
        }
        try checkRecords(records)
    }

    func checkKeys(_ keys: [StoreKey]) throws(StoreError) {
        for key in keys { try check(key) }
        if keys.count > 1, Set(keys).count != keys.count { throw invalid("a key appears twice in one commit") }
        guard keys.count <= capabilities.maximumWrites else {
            throw invalid("\(keys.count) keys in one commit, of at most \(capabilities.maximumWrites)")
        }
    }

    func check(_ key: StoreKey) throws(StoreError) {
        if key.byteCount > capabilities.maximumKeyBytes {
            throw invalid("a key of \(key.byteCount) bytes, of at most \(capabilities.maximumKeyBytes)")
        }
    }

    func checkPositive(_ number: Int, _ name: String) throws(StoreError) {
        if number < 1 { throw invalid("\(name) must be at least 1 (is \(number))") }
    }

    func invalid(_ explanation: String) -> StoreError { StoreError(.invalid, explanation) }
}
