internal import ReliabilityCore

/// The behavior of a store without time, threads or files.
///
/// `InMemoryStore` runs the state machine under a lock. `FileStore` logs its mutations. An operation is planned and
/// then applied. A plan changes nothing that an operation can observe. Between the plan and its application, a durable
/// store reserves space for the mutations and may still reject the operation.
package struct StoreStateMachine: Sendable {
    private struct ExpiryEntry: Comparable, Sendable {
        let at: Int64
        let version: UInt64
        let key: StoreKey
        static func < (left: ExpiryEntry, right: ExpiryEntry) -> Bool {
            (left.at, left.version) < (right.at, right.version)
        }
    }

    struct DueEntry: Comparable, Sendable {
        let at: Int64
        let version: UInt64
        let id: String
        static func < (left: DueEntry, right: DueEntry) -> Bool { (left.at, left.version) < (right.at, right.version) }
    }

    struct Queue: Sendable {
        // Keyed by the id's bytes: strings would compare by canonical equivalence.
        var records: [[UInt8]: StoredRecord] = [:]
        var dueIndex = MinHeap<DueEntry>()
        var deadLetterCount = 0

        func isCurrent(_ entry: DueEntry) -> Bool {
            guard let record = records[Array(entry.id.utf8)] else { return false }
            return record.version == entry.version && record.dueAt == entry.at && record.deadLetterReason == nil
        }
    }

    package let capabilities: StoreCapabilities
    let limits: StoreLimits
    private(set) var entries: [StoreKey: StoredEntry] = [:]
    private var expiryIndex = MinHeap<ExpiryEntry>()
    var queues: [QueueName: Queue] = [:]
    private(set) var recordCount = 0
    private(set) var byteCount = 0
    private var clock: Int64 = 0
    /// The latest expiry of a reclaimed entry, in Unix milliseconds.
    private var lastReclaimedExpiry: Int64 = .min
    /// The version of the next change.
    package var nextVersion: UInt64

    package init(capabilities: StoreCapabilities, limits: StoreLimits, nextVersion: UInt64 = 1) {
        self.capabilities = capabilities
        self.limits = limits
        self.nextVersion = nextVersion
    }

    /// Moves the time forward and reclaims at most 16 expired entries.
    @discardableResult
    package mutating func advance(to now: Int64) -> Int64 {
        clock = max(clock, now)
        reclaim(atMost: 16)
        return clock
    }

    /// The present usage.
    package var usage: StoreUsage {
        StoreUsage(
            entries: entries.count,
            records: recordCount,
            bytes: byteCount,
            maxEntries: limits.maxEntries,
            maxBytes: limits.maxBytes
        )
    }

    /// The latest time passed to `advance`, in Unix nanoseconds.
    package var now: Int64 { clock }

    /// Returns the latest expiry that an answer about `keys` may reveal through the absence of an entry.
    ///
    /// - Parameter keys: The keys of the answer, or `nil` for all keys.
    /// - Returns: The expiry in Unix milliseconds, or `nil` if the answer reveals no expiry.
    package func expiryShown(of keys: [StoreKey]?) -> Int64? {
        func revealedExpiry(_ entry: StoredEntry?) -> Int64? {
            guard let entry else { return lastReclaimedExpiry == .min ? nil : lastReclaimedExpiry }
            return entry.isExpired(at: clock) ? entry.expiresAt : nil
        }
        if let keys { return keys.compactMap { revealedExpiry(entries[$0]) }.max() }
        let expiries = entries.values.compactMap(revealedExpiry)
        return (revealedExpiry(nil).map { expiries + [$0] } ?? expiries).max()
    }

    // MARK: Entries

    package func get(_ keys: [StoreKey]) throws(StoreError) -> [StoreEntry?] {
        for key in keys { try check(key) }
        return keys.map { live($0).map(entry) }
    }

    package mutating func planCommit(_ writes: [StoreWrite]) throws(StoreError) -> StorePlan<CommitResult> {
        try checkCommit(writes, [])
        var version = nextVersion
        let plan = planWrites(writes, version: &version)
        try checkCapacity(for: plan.mutations)
        return plan
    }

    package mutating func planCommit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) throws(StoreError) -> StorePlan<RecordCommitResult> {
        try checkCommit(writes, records)
        var version = nextVersion
        let written = planWrites(writes, version: &version)
        switch written.result {
        case .conflict(let index, let current):
            return StorePlan(result: .conflict(index: index, current: current), mutations: [])
        case .committed(let versions):
            let added = planEnqueue(records, version: &version)
            for (index, result) in added.result.enumerated() {
                guard case .taken(let state) = result else { continue }
                return StorePlan(result: .taken(index: index, by: state), mutations: [])
            }
            let mutations = written.mutations + added.mutations
            try checkCapacity(for: mutations)
            return StorePlan(result: .committed(versions, records: added.result), mutations: mutations)
        }
    }

    private func planWrites(_ writes: [StoreWrite], version: inout UInt64) -> StorePlan<CommitResult> {
        for (index, write) in writes.enumerated() {
            let current = live(write.key)
            if !Self.holds(write.condition, for: current) {
                return StorePlan(
                    result: .conflict(index: index, current: current.map(entry)),
                    mutations: []
                )
            }
        }
        var versions: [StoreVersion?] = []
        var mutations: [StoreMutation] = []
        for write in writes {
            let current = live(write.key)
            switch write {
            case .put(let key, let value, let expiry, _):
                let expiresAt = expiresAt(expiry, current)
                mutations.append(.put(key, StoredEntry(value: value, version: version, expiresAt: expiresAt)))
                versions.append(StoreVersion(rawValue: version))
                version += 1
            case .delete(let key, _):
                if current != nil { mutations.append(.remove(key)) }
                versions.append(nil)
            case .touch(let key, let expiry, _):
                if var touched = current {
                    touched.expiresAt = expiresAt(expiry, current)
                    mutations.append(.put(key, touched))
                }
                versions.append(current.map { StoreVersion(rawValue: $0.version) })
            case .check:
                versions.append(current.map { StoreVersion(rawValue: $0.version) })
            }
        }
        return StorePlan(result: .committed(versions), mutations: mutations)
    }

    package mutating func planUpdate(
        _ updates: [(key: StoreKey, update: AtomicUpdate)]
    ) throws(StoreError) -> StorePlan<UpdateResult> {
        try checkKeys(updates.map(\.key))
        var version = nextVersion
        var mutations: [StoreMutation] = []
        var repairs: [StoreMutation] = []
        var decisions: [AtomicUpdate.Decision] = []
        for (key, update) in updates {
            let application = update.apply(to: live(key)?.value, now: clock)
            decisions.append(application.decision)
            guard let value = application.value else { continue }
            let expiresAt = instant(after: application.expiresAfter)
            let put = StoreMutation.put(key, StoredEntry(value: value, version: version, expiresAt: expiresAt))
            if application.decision.isAllowed { mutations.append(put) } else { repairs.append(put) }
            version += 1
        }
        guard decisions.allSatisfy(\.isAllowed) else {
            return StorePlan(result: UpdateResult(isApplied: false, decisions: decisions), mutations: repairs)
        }
        try checkCapacity(for: mutations)
        return StorePlan(result: UpdateResult(isApplied: true, decisions: decisions), mutations: mutations)
    }

    package func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) throws(StoreError) -> StorePage {
        try checkPositive(limit, "limit")
        // A pass over all keys. A scan is for startup and maintenance and not for the path of a request.
        var keys = entries.keys.filter { key in
            key.hasPrefix(prefix) && (after.map { $0 < key } ?? true) && live(key) != nil
        }
        keys.sort()
        let page = keys.prefix(limit)
        return StorePage(
            entries: page.compactMap { key in live(key).map { (key, entry($0)) } },
            next: keys.count > limit ? page.last : nil
        )
    }

    // MARK: Applying

    /// Applies planned mutations.
    package mutating func apply(_ mutations: [StoreMutation]) {
        for mutation in mutations {
            switch mutation {
            case .put(let key, let new):
                set(key, to: new)
                nextVersion = max(nextVersion, new.version + 1)
            case .remove(let key):
                set(key, to: nil)
            case .putRecord(let record):
                setRecord(record)
                nextVersion = max(nextVersion, record.version + 1)
            case .removeRecord(let queue, let id):
                removeRecord(queue: queue, id: id)
            }
        }
    }

    /// Returns the mutations that rebuild all live entries and all records, for a checkpoint.
    package func snapshot() -> [StoreMutation] {
        var mutations: [StoreMutation] = []
        for (key, entry) in entries where !entry.isExpired(at: clock) { mutations.append(.put(key, entry)) }
        for queue in queues.values { mutations += queue.records.values.map(StoreMutation.putRecord) }
        return mutations
    }

    private mutating func set(_ key: StoreKey, to new: StoredEntry?) {
        let old = entries[key]
        if let old { byteCount -= key.byteCount + old.value.count + 64 }
        entries[key] = new
        guard let new else { return }
        byteCount += key.byteCount + new.value.count + 64
        if let expiresAt = new.expiresAt, expiresAt != old?.expiresAt || new.version != old?.version {
            expiryIndex.insert(ExpiryEntry(at: expiresAt, version: new.version, key: key))
            if expiryIndex.count > 64 + 4 * entries.count {
                let entries = entries
                expiryIndex.compact { !Self.isCurrent($0, entries) }
            }
        }
    }

    private static func isCurrent(_ expiry: ExpiryEntry, _ entries: [StoreKey: StoredEntry]) -> Bool {
        guard let entry = entries[expiry.key] else { return false }
        return entry.version == expiry.version && entry.expiresAt == expiry.at
    }

    mutating func reclaim(atMost count: Int) {
        for _ in 0..<count {
            guard let expiry = expiryIndex.first, expiry.at <= clock / 1_000_000 else { return }
            _ = expiryIndex.removeFirst()
            if Self.isCurrent(expiry, entries) {
                set(expiry.key, to: nil)
                lastReclaimedExpiry = max(lastReclaimedExpiry, expiry.at)
            }
        }
    }

    private mutating func setRecord(_ record: StoredRecord) {
        let name = QueueName(record.queue)
        let id = Array(record.id.utf8)
        let old = queues[name]?.records[id]
        recordCount += old == nil ? 1 : 0
        byteCount += record.byteCount - (old?.byteCount ?? 0)
        queues[name, default: Queue()].set(id, to: record)
    }

    private mutating func removeRecord(queue: String, id: String) {
        let name = QueueName(queue)
        let id = Array(id.utf8)
        guard let old = queues[name]?.records[id] else { return }
        recordCount -= 1
        byteCount -= old.byteCount
        queues[name]?.set(id, to: nil)
        if queues[name]?.records.isEmpty == true { queues[name] = nil }
    }

    // MARK: Shared

    private func live(_ key: StoreKey) -> StoredEntry? {
        guard let entry = entries[key], !entry.isExpired(at: clock) else { return nil }
        return entry
    }

    private func entry(_ stored: StoredEntry) -> StoreEntry {
        StoreEntry(
            value: stored.value,
            version: StoreVersion(rawValue: stored.version),
            remaining: stored.expiresAt.map {
                .nanoseconds($0.saturatingMultiply(1_000_000).saturatingSubtract(clock))
            }
        )
    }

    private static func holds(_ condition: WriteCondition, for current: StoredEntry?) -> Bool {
        switch condition {
        case .any: true
        case .absent: current == nil
        case .present: current != nil
        case .version(let version): current?.version == version.rawValue
        }
    }

    private func expiresAt(_ expiry: Expiry, _ current: StoredEntry?) -> Int64? {
        switch expiry {
        case .never: nil
        case .after(let duration): instant(after: max(duration, .milliseconds(1)))
        case .keep: current?.expiresAt
        }
    }

    /// Returns the first whole millisecond at least `duration` from now.
    func instant(after duration: Duration) -> Int64 {
        let nanoseconds = clock.saturatingAdd(max(0, duration.saturatingNanoseconds))
        let milliseconds = nanoseconds / 1_000_000
        return nanoseconds % 1_000_000 == 0 || duration <= .zero ? milliseconds : milliseconds + 1
    }
}

extension StoreWrite {
    var condition: WriteCondition {
        switch self {
        case .put(_, _, _, let condition), .delete(_, let condition), .touch(_, _, let condition),
            .check(_, let condition):
            condition
        }
    }
}
