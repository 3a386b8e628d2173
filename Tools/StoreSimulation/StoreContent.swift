package import ReliabilityStore

/// The content of a store in a fixed order, so that two stores can be compared.
package struct StoreContent: Hashable, Sendable {
    package struct Entry: Hashable, Sendable {
        package var key: StoreKey
        package var stored: StoredEntry
        package init(_ key: StoreKey, _ stored: StoredEntry) {
            self.key = key
            self.stored = stored
        }
    }

    /// The live entries in the order of their keys.
    package let entries: [Entry]
    /// The records in the order of their queues and ids.
    package let records: [StoredRecord]

    package init(entries: [Entry], records: [StoredRecord]) {
        self.entries = entries.sorted { $0.key < $1.key }
        self.records = records.sorted(by: Self.precedes)
    }

    /// Creates the content of a store from the mutations of its snapshot.
    ///
    /// - Parameters:
    ///   - snapshot: The mutations, one for each entry and record.
    ///   - now: The store's clock in nanoseconds since 1970. Expired entries are left out.
    package init(snapshot: [StoreMutation], now: Int64) {
        var entries: [Entry] = []
        var records: [StoredRecord] = []
        for mutation in snapshot {
            switch mutation {
            case .put(let key, let stored):
                if let end = stored.expiresAt, end <= now / 1_000_000 { continue }
                entries.append(Entry(key, stored))
            case .putRecord(let record): records.append(record)
            case .remove, .removeRecord: break
            }
        }
        self.init(entries: entries, records: records)
    }

    static func precedes(_ left: StoredRecord, _ right: StoredRecord) -> Bool {
        if !left.queue.utf8.elementsEqual(right.queue.utf8) {
            return left.queue.utf8.lexicographicallyPrecedes(right.queue.utf8)
        }
        return left.id.utf8.lexicographicallyPrecedes(right.id.utf8)
    }
}
