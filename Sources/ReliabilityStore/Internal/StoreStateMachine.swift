internal import ReliabilityCore

/// The behavior of a store without time, threads or files.
///
/// `FileStore` logs the mutations of the state machine. `InMemoryStore` uses the same indexes directly. An operation is
/// planned and then applied. A plan changes nothing that an operation can observe. Between the plan and its
/// application, a durable store reserves space for the mutations and may still reject the operation.
///
/// The cost of an operation grows with the logarithm of the content and with the length of the answer.
package struct StoreStateMachine: Sendable {
    /// The indexes of the content.
    final class Content: @unchecked Sendable {
        // @unchecked Sendable: the indexes change only while one state machine has the only reference.
        var entries = EntryIndex()
        var records = RecordIndex()

        var size: StoreDelta { entries.size + records.size }
    }

    package let capabilities: StoreCapabilities
    let limits: StoreLimits
    private(set) var content = Content()
    private var clock: Int64 = 0
    /// The version of the next change.
    package var nextVersion: UInt64

    package init(capabilities: StoreCapabilities, limits: StoreLimits, nextVersion: UInt64 = 1) {
        self.capabilities = capabilities
        self.limits = limits
        self.nextVersion = nextVersion
    }

    /// Gives the state machine its own content if a copy of the state machine shares the content.
    mutating func makeUnique() {
        if isKnownUniquelyReferenced(&content) { return }
        let mutations = snapshot(includingExpired: true)
        let reclaimed = content.entries.lastReclaimedExpiry
        content = Content()
        content.entries.lastReclaimedExpiry = reclaimed
        applyUnique(mutations)
    }

    /// Moves the time forward and reclaims at most 16 expired entries.
    @discardableResult
    package mutating func advance(to now: Int64) -> Int64 {
        clock = max(clock, now)
        reclaim(atMost: 16)
        return clock
    }

    /// Removes at most `count` expired entries.
    ///
    /// - Returns: The number of removed entries.
    @discardableResult
    package mutating func reclaim(atMost count: Int) -> Int {
        guard let nextExpiry, nextExpiry <= clock / 1_000_000 else { return 0 }
        makeUnique()
        return content.entries.reclaim(atMost: count, at: clock)
    }

    /// The present usage.
    package var usage: StoreUsage {
        StoreUsage(
            entries: content.entries.count,
            records: content.records.count,
            bytes: content.size.bytes,
            maxEntries: limits.maxEntries,
            maxBytes: limits.maxBytes
        )
    }

    /// The approximate number of bytes of the content in a file.
    package var liveBytes: Int64 {
        let count = content.entries.count + content.records.count
        return Int64(content.size.bytes - 40 * count)
    }

    /// The latest time passed to `advance`, in Unix nanoseconds.
    package var now: Int64 { clock }

    /// The earliest expiry of an entry in Unix milliseconds, or `nil` if no entry expires.
    package var nextExpiry: Int64? { content.entries.nextExpiry }

    /// The number of nodes and slots of the indexes that all calls visited or moved.
    ///
    /// - Parameter queue: The queue whose heap counts.
    /// - Returns: The number of steps.
    package func indexSteps(_ queue: QueueName) -> Int { content.entries.steps &+ content.records.steps(of: queue) }

    /// Returns the latest expiry that an answer about a key may reveal through the absence of an entry.
    ///
    /// - Parameter key: The key of the answer.
    /// - Returns: The expiry in Unix milliseconds, or `nil` if the answer reveals no expiry.
    package func expiryShown(of key: StoreKey) -> Int64? { content.entries.expiryShown(of: key, at: clock) }

    /// The latest expiry that an answer about all keys may reveal, in Unix milliseconds, or `nil` for none.
    ///
    /// The time may be too late but is never later than the present time.
    package var expiryShown: Int64? { content.entries.expiryShown(at: clock) }

    // MARK: Entries

    /// Returns the version of an entry, or `nil` if there is no entry.
    ///
    /// An expired entry that is not reclaimed has a version.
    package func version(of key: StoreKey) -> UInt64? {
        key.withKeyBytes { content.entries.place(of: $0).item?.version }
    }

    package func get(_ keys: [StoreKey]) throws(StoreError) -> [StoreEntry?] {
        for key in keys { try capabilities.check(key) }
        return keys.map(entry)
    }

    /// Returns the entry of a key, or `nil` if there is no entry or the entry has expired.
    package func entry(_ key: StoreKey) -> StoreEntry? { content.entries.live(key, at: clock)?.entry(at: clock) }

    package func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) throws(StoreError) -> StorePage {
        try capabilities.checkPositive(limit, "limit")
        var page = PageBuilder(limit: limit, now: clock)
        prefix.withKeyBytes { prefix in
            PageBuilder.withStart(after: after, prefix: prefix) { start, afterEqual in
                var cursor = content.entries.cursor(from: start, afterEqual: afterEqual)
                while let item = cursor.item, page.add(item, prefix: prefix) { content.entries.advance(&cursor) }
            }
        }
        return page.page
    }

    // MARK: Applying

    /// Applies planned mutations.
    package mutating func apply(_ mutations: [StoreMutation]) {
        if mutations.isEmpty { return }
        makeUnique()
        applyUnique(mutations)
    }

    /// Applies the change of a single write or update, whose plan must be the last plan.
    package mutating func apply(_ change: EntryChange) {
        switch change.mutation {
        case .put(let key, let new):
            key.withKeyBytes { content.entries.put($0, new, at: change.place) }
            nextVersion = max(nextVersion, new.version + 1)
        case .remove: content.entries.remove(at: change.place)
        case .putRecord, .removeRecord: break
        }
    }

    private mutating func applyUnique(_ mutations: [StoreMutation]) {
        for mutation in mutations {
            switch mutation {
            case .put(let key, let new):
                content.entries.put(key, new)
                nextVersion = max(nextVersion, new.version + 1)
            case .remove(let key):
                content.entries.remove(key)
            case .putRecord(let record):
                content.records.set(record)
                nextVersion = max(nextVersion, record.version + 1)
            case .removeRecord(let queue, let id):
                content.records.remove(queue, id)
            }
        }
    }

    /// Ends all leases, for a store with one owner at its opening.
    ///
    /// The records still count as not settled. The call visits every pending record.
    ///
    /// - Returns: The changes.
    @discardableResult
    package mutating func endLeases() -> [StoreMutation] {
        makeUnique()
        return content.records.endLeases(at: clock / 1_000_000).map { .putRecord($0) }
    }
}
