internal import ReliabilityCore

/// The entries of a cache without clock and locks.
///
/// The entries are in a flat array. The dictionary, the order of eviction and the order of expiry refer to the entries
/// by their slots. Removed entries are collected for the owner, which releases them outside of its lock.
@usableFromInline
struct CacheEntries<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    @usableFromInline typealias Entry = CacheEntry<Value>

    /// An entry that left the cache.
    struct Departure: Sendable {
        let key: Key
        let entry: Entry
        /// The cause of the removal, or `nil` if another entry replaced this entry.
        let cause: CacheRemovalCause?
    }

    @usableFromInline
    struct Slot: Sendable {
        var key: Key
        @usableFromInline var entry: Entry
    }

    @usableFromInline private(set) var slots: [Slot?] = []
    private var free: [Int32] = []
    @usableFromInline private(set) var positions: [Key: Int32] = [:]
    @usableFromInline var order = EvictionOrder()
    private var expiries = ExpiryHeap()
    var tags: CacheTags
    private(set) var maxCost: Int
    private(set) var maxEntries: Int
    /// The time for which an entry is kept after its expiry.
    private var staleTime: Int64
    /// The entries that left since the owner has taken them.
    private(set) var departures: [Departure] = []

    init(_ configuration: CacheConfiguration, tags: CacheTags = CacheTags()) {
        self.tags = tags
        maxCost = configuration.maxCost
        maxEntries = configuration.maxEntries
        staleTime = configuration.longestStaleTime
    }

    var count: Int { order.count }
    var cost: Int { order.cost }
    /// The sum of the costs of the entries that a scan displaces.
    var probationaryCost: Int { order.probationaryCost }
    var rememberedCount: Int { order.rememberedCount }

    /// The bytes of memory for an entry besides the content of its key, value and tags.
    static var overhead: Int {
        MemoryLayout<Slot?>.stride + EvictionOrder.overhead + 4 * MemoryLayout<UInt64>.stride
            + (MemoryLayout<Key>.stride + MemoryLayout<Int32>.stride) * 4 / 3
    }

    /// Returns the entries that left since the last call.
    mutating func takeDepartures() -> [Departure] {
        defer { departures = [] }
        return departures
    }

    // MARK: Reading

    /// Returns a value that is fresh, needs no refresh and becomes used.
    @inlinable
    mutating func use(_ key: Key, now: Int64) -> Value? {
        guard let slot = positions[key], let entry = slots[Int(slot)]?.entry, now < entry.refreshTime,
            case .value(let value) = entry.content, entry.tags.isEmpty || !entry.isInvalidated
        else { return nil }
        order.use(slot)
        return value
    }

    /// Returns the entry of a key unless the entry was invalidated or its last stale time has passed.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - now: The time.
    ///   - isUse: `true` if the entry becomes used.
    /// - Returns: The entry, or `nil` if there is none.
    mutating func entry(_ key: Key, now: Int64, isUse: Bool) -> Entry? {
        guard let slot = positions[key], let entry = slots[Int(slot)]?.entry else { return nil }
        if entry.isInvalidated {
            remove(slot, .invalidated)
            return nil
        }
        if now >= keptUntil(entry) {
            remove(slot, .expired)
            return nil
        }
        if isUse { order.use(slot) }
        return entry
    }

    /// Delays the next load of an entry after a failed load.
    mutating func delayRetry(_ key: Key, until time: Int64) {
        guard let slot = positions[key] else { return }
        slots[Int(slot)]?.entry.retryTime = time
    }

    private func keptUntil(_ entry: Entry) -> Int64 {
        if case .failure = entry.content { return entry.expiry }
        return entry.expiry.saturatingAdd(staleTime)
    }

    // MARK: Writing

    /// Stores an entry in the place of an earlier entry.
    ///
    /// - Returns: The reason why the entry was not stored, or `nil` if the entry was stored.
    mutating func store(
        _ entry: Entry,
        for key: Key,
        tags names: Set<String>,
        now: Int64
    ) -> CacheNotStoredReason? {
        if tags.areInvalidated(names, since: entry.start) { return .invalidated }
        let present = positions[key]
        if let present, let old = slots[Int(present)]?.entry, !old.isInvalidated {
            if old.start > entry.start { return .newerPresent }
            if let version = entry.version, let held = old.version, version < held { return .newerPresent }
        }
        guard now < entry.expiry else {
            if let present { remove(present, .expired) }
            return .expired
        }
        guard entry.cost <= maxCost else {
            if let present { remove(present, .replaced) }
            return .tooLarge
        }
        var entry = entry
        entry.tags = names.isEmpty ? [] : tags.retain(names)
        if let present { replace(present, with: entry, now: now) } else { insert(entry, for: key, now: now) }
        return nil
    }

    private mutating func replace(_ slot: Int32, with entry: Entry, now: Int64) {
        guard let old = slots[Int(slot)] else { return }
        tags.release(old.entry.tags)
        departures.append(Departure(key: old.key, entry: old.entry, cause: nil))
        slots[Int(slot)]?.entry = entry
        expiries.set(slot, at: keptUntil(entry))
        // Outside of the order, the entry is not evicted to make room for itself.
        let standing = order.remove(slot, isRemembered: false)
        makeRoom(for: entry.cost, now: now)
        order.insert(slot, cost: entry.cost, fingerprint: fingerprint(old.key), standing: standing)
    }

    private mutating func insert(_ entry: Entry, for key: Key, now: Int64) {
        makeRoom(for: entry.cost, now: now)
        let slot = free.popLast() ?? Int32(slots.count)
        if Int(slot) == slots.count { slots.append(nil) }
        slots[Int(slot)] = Slot(key: key, entry: entry)
        positions[key] = slot
        expiries.set(slot, at: keptUntil(entry))
        order.insert(slot, cost: entry.cost, fingerprint: fingerprint(key))
    }

    private func fingerprint(_ key: Key) -> UInt32 { UInt32(truncatingIfNeeded: key.hashValue) }

    // MARK: Removing

    /// Removes the entry of a key.
    mutating func remove(_ key: Key, _ cause: CacheRemovalCause) {
        if let slot = positions[key] { remove(slot, cause) }
    }

    /// Changes the bounds and evicts entries above the bounds.
    mutating func reload(_ configuration: CacheConfiguration, now: Int64) {
        maxCost = configuration.maxCost
        maxEntries = configuration.maxEntries
        staleTime = configuration.longestStaleTime
        for (index, slot) in slots.enumerated() {
            if let slot { expiries.set(Int32(index), at: keptUntil(slot.entry)) }
        }
        makeRoom(for: 0, entries: 0, now: now)
    }

    /// Removes entries until there is room, and a few further entries after their last stale time.
    ///
    /// Expired entries give way before others. Beyond the room, a call removes two of them.
    private mutating func makeRoom(for cost: Int, entries: Int = 1, now: Int64) {
        var removed = 0
        while let earliest = expiries.earliest, earliest.instant <= now,
            removed < 2 || !hasRoom(for: cost, entries)
        {
            remove(earliest.slot, .expired)
            removed += 1
        }
        while !hasRoom(for: cost, entries) {
            guard let victim = order.nextVictim(maxCost: maxCost, maxCount: maxEntries) else { return }
            remove(victim, .evicted)
        }
    }

    private func hasRoom(for cost: Int, _ entries: Int) -> Bool {
        order.cost <= maxCost - cost && order.count <= maxEntries - entries
    }

    private mutating func remove(_ slot: Int32, _ cause: CacheRemovalCause) {
        guard let content = slots[Int(slot)].take() else { return }
        positions[content.key] = nil
        free.append(slot)
        order.remove(slot, isRemembered: cause == .evicted)
        expiries.remove(slot)
        tags.release(content.entry.tags)
        departures.append(Departure(key: content.key, entry: content.entry, cause: cause))
    }
}
