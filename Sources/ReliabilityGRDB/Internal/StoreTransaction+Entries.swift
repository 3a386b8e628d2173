#if GRDB
// GRDB represents blobs as Data.
internal import Foundation
internal import GRDB
internal import ReliabilityCore
internal import ReliabilityStore

extension StoreTransaction {
    /// An entry that has not expired.
    struct Entry {
        let version: Int64
        let expires: Int64?
        let value: [UInt8]
    }

    private static let largestPage = 256
    private static let visitLimit = 1024
    private static let pageBytes = 1 << 20

    private func current(_ key: StoreKey) throws -> Entry? {
        let row = try row(
            "SELECT version, expires, value FROM reliability_entry WHERE key = ?",
            [Data(key.encoded)]
        )
        guard let row else { return nil }
        let expires = try row.decode(Int64?.self, atIndex: 1)
        if let expires, expires <= now { return nil }
        return Entry(version: try row.decode(atIndex: 0), expires: expires, value: try row.bytes(2))
    }

    private func described(_ entry: Entry) -> StoreEntry {
        StoreEntry(
            value: entry.value,
            version: StoreVersion(entry.version),
            remaining: entry.expires.map(wait(until:))
        )
    }

    func get(_ keys: [StoreKey]) throws -> [StoreEntry?] { try keys.map { try current($0).map(described) } }

    func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) throws -> StorePage {
        let limit = min(limit, Self.largestPage)
        let start: (sql: String, key: StoreKey) =
            if let after, !(after < prefix) { (">", after) } else { (">=", prefix) }
        var entries: [(key: StoreKey, entry: StoreEntry)] = []
        var (next, last) = (nil as StoreKey?, nil as StoreKey?)
        var (bytes, visited) = (0, 0)
        try forEachRow(
            "SELECT key, version, expires, value FROM reliability_entry WHERE key \(start.sql) ? ORDER BY key",
            [Data(start.key.encoded)]
        ) { row in
            let key = StoreKey(encoded: try row.bytes(0))
            guard key.hasPrefix(prefix) else { return false }
            let expires = try row.decode(Int64?.self, atIndex: 2)
            let isExpired = expires.map { $0 <= now } ?? false
            let isFull = !isExpired && (entries.count == limit || bytes >= Self.pageBytes)
            if isFull || visited == Self.visitLimit {
                next = last
                return false
            }
            visited += 1
            last = key
            if isExpired { return true }
            let entry = Entry(version: try row.decode(atIndex: 1), expires: expires, value: try row.bytes(3))
            bytes += entry.value.count
            entries.append((key, described(entry)))
            return true
        }
        return StorePage(entries: entries, next: next)
    }

    // MARK: Writing

    /// Makes all writes and adds all records, or does neither.
    mutating func commit(_ writes: [StoreWrite], enqueueing records: [NewRecord]) throws -> RecordCommitResult {
        var entries: [Entry?] = []
        for (index, write) in writes.enumerated() {
            let entry = try current(write.key)
            guard write.condition.holds(for: entry) else {
                return .conflict(index: index, current: entry.map(described))
            }
            entries.append(entry)
        }
        let evaluated = try evaluate(records)
        for (index, result) in evaluated.enumerated() {
            if case .taken(let state) = result { return .taken(index: index, by: state) }
        }
        var versions: [StoreVersion?] = []
        for (write, entry) in zip(writes, entries) { versions.append(try perform(write, entry)) }
        try insert(records, evaluated)
        if writes.contains(where: \.changesContent) || evaluated.contains(.enqueued) { try saveCounter() }
        return .committed(versions, records: evaluated)
    }

    /// Makes a write whose condition holds.
    ///
    /// - Returns: The version of the entry afterwards, or `nil` if there is no entry.
    private mutating func perform(_ write: StoreWrite, _ entry: Entry?) throws -> StoreVersion? {
        switch write {
        case .put(let key, let value, let expiry, _):
            return StoreVersion(try put(key, value, expires: end(expiry, entry)))
        case .delete(let key, _):
            if entry != nil { try execute("DELETE FROM reliability_entry WHERE key = ?", [Data(key.encoded)]) }
            return nil
        case .touch(let key, let expiry, _):
            guard let entry else { return nil }
            try execute(
                "UPDATE reliability_entry SET expires = ? WHERE key = ?",
                [end(expiry, entry), Data(key.encoded)]
            )
            return StoreVersion(entry.version)
        case .check: return entry.map { StoreVersion($0.version) }
        }
    }

    private func end(_ expiry: Expiry, _ entry: Entry?) -> Int64? {
        switch expiry {
        case .never: nil
        case .after(let duration): instant(after: max(duration, .milliseconds(1)))
        case .keep: entry?.expires
        }
    }

    private mutating func put(_ key: StoreKey, _ value: [UInt8], expires: Int64?) throws -> Int64 {
        let version = nextVersion()
        try execute(
            """
            INSERT INTO reliability_entry (key, version, expires, value) VALUES (?, ?, ?, ?)
            ON CONFLICT (key) DO UPDATE SET version = excluded.version, expires = excluded.expires, value = excluded.value
            """,
            [Data(key.encoded), version, expires, Data(value)]
        )
        return version
    }

    /// Makes all updates or none, and shortens state from the far future in any case.
    mutating func update(_ updates: [(key: StoreKey, update: AtomicUpdate)]) throws -> UpdateResult {
        let applications = try updates.map { key, update in
            update.apply(to: try current(key)?.value, now: time)
        }
        let isApplied = applications.allSatisfy(\.decision.isAllowed)
        var hasChanged = false
        for (update, application) in zip(updates, applications) where application.decision.isAllowed == isApplied {
            guard let value = application.value else { continue }
            _ = try put(update.key, value, expires: instant(after: application.expiresAfter))
            hasChanged = true
        }
        if hasChanged { try saveCounter() }
        return UpdateResult(isApplied: isApplied, decisions: applications.map(\.decision))
    }
}

extension WriteCondition {
    fileprivate func holds(for entry: StoreTransaction.Entry?) -> Bool {
        switch self {
        case .any: true
        case .absent: entry == nil
        case .present: entry != nil
        case .version(let version): entry.map { StoreVersion($0.version) } == version
        }
    }
}

extension StoreWrite {
    fileprivate var condition: WriteCondition {
        switch self {
        case .put(_, _, _, let condition), .delete(_, let condition), .touch(_, _, let condition),
            .check(_, let condition):
            condition
        }
    }

    fileprivate var changesContent: Bool { if case .check = self { false } else { true } }
}
#endif
