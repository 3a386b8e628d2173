/// The entries of a store, in the order of their keys and of their expiries.
///
/// The index has no clock and no limits. Its owner checks both.
struct EntryIndex: ~Copyable, Sendable {
    private var tree = ItemTree()
    private var expiries = ItemHeap()
    /// The counted bytes of all entries.
    private(set) var byteCount = 0
    /// The latest expiry of a reclaimed entry, in Unix milliseconds.
    var lastReclaimedExpiry: Int64 = .min

    /// The number of entries, including expired entries that are not reclaimed.
    var count: Int { tree.count }

    /// The counted size of all entries.
    var size: StoreDelta { StoreDelta(items: count, bytes: byteCount) }

    /// The number of nodes and slots that all calls visited or moved.
    var steps: Int { tree.steps &+ expiries.steps }

    /// The earliest expiry in Unix milliseconds, or `nil` if no entry expires.
    var nextExpiry: Int64? { expiries.first?.time }

    /// Returns the counted bytes of an entry.
    static func byteCount(key: Int, value: Int) -> Int { key + value + 64 }

    // MARK: Reading

    func place(of key: KeyBytes) -> ItemTree.Place { tree.place(of: key) }

    /// Returns the item of a key, or `nil` if the key has no item or an expired item.
    func live(_ key: StoreKey, at now: Int64) -> Item? {
        key.withKeyBytes { bytes in tree.place(of: bytes).item.flatMap { $0.isExpired(at: now) ? nil : $0 } }
    }

    func cursor(from key: KeyBytes, afterEqual: Bool = false) -> ItemTree.Cursor {
        tree.cursor(from: key, afterEqual: afterEqual)
    }

    func advance(_ cursor: inout ItemTree.Cursor) { tree.advance(&cursor) }

    /// Returns the latest expiry that an answer about all keys may reveal through the absence of an entry.
    ///
    /// - Parameter now: The time in Unix nanoseconds.
    /// - Returns: The expiry in Unix milliseconds, or `nil` if the answer reveals no expiry.
    func expiryShown(at now: Int64) -> Int64? {
        // The present time is not before the expiry of any expired entry.
        if let nextExpiry, nextExpiry <= now / 1_000_000 { return now / 1_000_000 }
        return reclaimedExpiry
    }

    /// Returns the latest expiry that an answer about a key may reveal through the absence of an entry.
    ///
    /// - Parameters:
    ///   - key: The key of the answer.
    ///   - now: The time in Unix nanoseconds.
    /// - Returns: The expiry in Unix milliseconds, or `nil` if the answer reveals no expiry.
    func expiryShown(of key: StoreKey, at now: Int64) -> Int64? {
        guard let item = key.withKeyBytes({ tree.place(of: $0).item }) else { return reclaimedExpiry }
        return item.isExpired(at: now) ? item.expiresAt : nil
    }

    private var reclaimedExpiry: Int64? { lastReclaimedExpiry == .min ? nil : lastReclaimedExpiry }

    // MARK: Changing

    /// Sets the entry of a key.
    mutating func put(
        _ key: KeyBytes,
        _ value: [UInt8],
        version: UInt64,
        expiresAt: Int64?,
        at place: ItemTree.Place
    ) {
        put(key, value.count, version: version, expiresAt: expiresAt, at: place) { $0.setValue(value) }
    }

    /// Sets the entry of a key to a value of `count` bytes that `fill` writes.
    mutating func put(
        _ key: KeyBytes,
        _ count: Int,
        version: UInt64,
        expiresAt: Int64?,
        at place: ItemTree.Place,
        fill: (Item) -> Void
    ) {
        if let old = place.item, old.valueCount == count {
            fill(old)
            setState(of: old, version: version, expiresAt: expiresAt)
            return
        }
        let item = Item(key: key, valueCount: count, version: version, time: expiresAt ?? 0)
        fill(item)
        guard let old = place.item else {
            byteCount += Self.byteCount(key: key.count, value: count)
            tree.insert(item, at: place)
            if expiresAt != nil { expiries.insert(item) }
            return
        }
        byteCount += count - old.valueCount
        tree.replace(at: place, with: item)
        switch (old.expiresAt, expiresAt) {
        case (nil, nil): break
        case (nil, _): expiries.insert(item)
        case (_, nil): expiries.remove(old)
        default: expiries.replace(old, with: item)
        }
        old.free()
    }

    /// Sets the entry of a key.
    mutating func put(_ key: StoreKey, _ entry: StoredEntry) {
        key.withKeyBytes { key in
            put(key, entry, at: tree.place(of: key))
        }
    }

    /// Sets the entry of a key.
    mutating func put(_ key: KeyBytes, _ entry: StoredEntry, at place: ItemTree.Place) {
        put(key, entry.value, version: entry.version, expiresAt: entry.expiresAt, at: place)
    }

    /// Removes the entry of a key if there is an entry.
    mutating func remove(_ key: StoreKey) { key.withKeyBytes { remove(at: tree.place(of: $0)) } }

    /// Sets the version and the expiry of an item and keeps its value.
    mutating func setState(of item: Item, version: UInt64, expiresAt: Int64?) {
        item.version = version
        let old = item.expiresAt
        guard let expiresAt else {
            if old != nil { expiries.remove(item) }
            return
        }
        item.time = expiresAt
        if old == nil { expiries.insert(item) } else { expiries.update(item) }
    }

    /// Removes the entry at a place if there is an entry.
    mutating func remove(at place: ItemTree.Place) {
        guard let item = place.item else { return }
        byteCount -= Self.byteCount(key: item.keyCount, value: item.valueCount)
        tree.remove(at: place)
        expiries.remove(item)
        item.free()
    }

    /// Removes at most `count` expired entries.
    ///
    /// - Returns: The number of removed entries.
    @discardableResult
    mutating func reclaim(atMost count: Int, at now: Int64) -> Int {
        for reclaimed in 0..<count {
            guard let item = expiries.first, item.isExpired(at: now) else { return reclaimed }
            lastReclaimedExpiry = max(lastReclaimedExpiry, item.time)
            remove(at: tree.place(of: item.key))
        }
        return count
    }
}

extension Item {
    /// Returns a Boolean value that indicates whether the entry has expired at a time in Unix nanoseconds.
    func isExpired(at now: Int64) -> Bool { expiresAt.map { $0 <= now / 1_000_000 } ?? false }

    /// Returns the entry as a read shows the entry.
    func entry(at now: Int64) -> StoreEntry {
        StoreEntry(
            value: value,
            version: StoreVersion(rawValue: version),
            remaining: expiresAt.map { .untilUnixMilliseconds($0, from: now) }
        )
    }
}
