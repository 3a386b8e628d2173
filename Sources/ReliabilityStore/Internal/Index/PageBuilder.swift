/// The entries of a page of a scan.
///
/// The builder ends a page after 256 entries or about 1 MiB of values. A page therefore takes a short time under a
/// lock.
struct PageBuilder {
    /// The largest number of visited items.
    ///
    /// Expired items are visited and do not appear on the page.
    private static let visitLimit = 1024

    private let limit: Int
    private let now: Int64
    private var entries: [(key: StoreKey, entry: StoreEntry)] = []
    private var next: StoreKey?
    private var bytes = 0
    private var visited = 0
    private var last: Item?

    init(limit: Int, now: Int64) {
        self.limit = min(limit, RecordIndex.pageLimit)
        self.now = now
    }

    var page: StorePage { StorePage(entries: entries, next: next) }

    /// Adds the next item.
    ///
    /// - Returns: `false` if the page has ended.
    mutating func add(_ item: Item, prefix: KeyBytes) -> Bool {
        guard item.key.hasPrefix(prefix) else { return false }
        let isExpired = item.isExpired(at: now)
        let isFull = !isExpired && (entries.count == limit || bytes >= RecordIndex.pageBytes)
        if isFull || visited == Self.visitLimit {
            next = last.map { StoreKey($0.key) }
            return false
        }
        visited += 1
        last = item
        if !isExpired {
            entries.append((StoreKey(item.key), item.entry(at: now)))
            bytes += item.valueCount
        }
        return true
    }

    /// Calls `body` with the key from which the page reads, and `true` if the key itself is skipped.
    static func withStart(after: StoreKey?, prefix: KeyBytes, _ body: (KeyBytes, Bool) -> Void) {
        guard let after else { return body(prefix, false) }
        after.withKeyBytes { after in
            if after.compare(prefix) < 0 { body(prefix, false) } else { body(after, true) }
        }
    }
}
