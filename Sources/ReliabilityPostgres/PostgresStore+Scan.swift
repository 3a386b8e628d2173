internal import ReliabilityCore
public import ReliabilityStore

extension PostgresStore {
    /// Reads entries in the order of their keys.
    ///
    /// A page has at most 256 entries and ends after about 1 MiB of values. Expired entries count towards the limit of a
    /// page and are left out, so a page may be empty although the scan has not ended.
    public func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try capabilities.checkPositive(limit, "limit")
        let prefixBytes = prefix.encoded
        var start = prefixBytes
        var includesStart = true
        if let after, !(after < prefix) { (start, includesStart) = (after.encoded, false) }
        guard let end = prefixBytes.endOfPrefix else { throw StoreError(.invalid, "a scan needs a prefix") }
        let rows = try await commands.read(
            statements.scan,
            [
                .bytes(start), PostgresValue(type: 16, bytes: [includesStart ? 1 : 0]), .bytes(end),
                .int4(Int32(min(limit, 256))),
            ]
        )
        var entries: [(key: StoreKey, entry: StoreEntry)] = []
        var last: StoreKey?
        for row in rows {
            var row = RowReader(row)
            let now: Int64 = try row.integer()
            let total: Int64 = try row.integer()
            let number: Int64 = try row.integer()
            let key = StoreKey(encoded: try row.bytes())
            last = number < total ? key : nil
            let version = try row.version()
            let ends = try row.integerOrNull(Int64.self)
            guard let value = try row.bytesOrNull() else { continue }
            let remaining = ends.map { Duration.untilMicrosecond($0, from: now) }
            entries.append((key, StoreEntry(value: value, version: version, remaining: remaining)))
        }
        return StorePage(entries: entries, next: last)
    }
}
