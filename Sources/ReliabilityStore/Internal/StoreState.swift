internal import ReliabilityCore

/// An entry as a store keeps it.
package struct StoredEntry: Hashable, Sendable {
    package var value: [UInt8]
    package var version: UInt64
    /// When it ends, in Unix milliseconds of the store's clock; nil for never.
    package var expiresAt: Int64?

    package init(value: [UInt8], version: UInt64, expiresAt: Int64?) {
        self.value = value
        self.version = version
        self.expiresAt = expiresAt
    }

    func isExpired(at now: Int64) -> Bool { expiresAt.map { $0 <= now / 1_000_000 } ?? false }
}

/// A record as a store keeps it.
package struct StoredRecord: Hashable, Sendable {
    package var queue: String
    package var id: String
    package var payload: [UInt8]
    package var version: UInt64
    package var attempts: Int
    /// The time at which it is due, its lease ends or it died, in Unix milliseconds of the store's clock.
    package var dueAt: Int64
    /// Whether it was handed out and not settled since, or is held back; also when the lease has ended.
    package var isLeased: Bool
    package var deadReason: String?

    package init(
        queue: String,
        id: String,
        payload: [UInt8],
        version: UInt64,
        attempts: Int,
        dueAt: Int64,
        isLeased: Bool,
        deadReason: String?
    ) {
        self.queue = queue
        self.id = id
        self.payload = payload
        self.version = version
        self.attempts = attempts
        self.dueAt = dueAt
        self.isLeased = isLeased
        self.deadReason = deadReason
    }

    var byteCount: Int { queue.utf8.count + id.utf8.count + payload.count + (deadReason?.utf8.count ?? 0) + 64 }
}

/// One absolute change of a store's state: applying it twice is applying it once.
package enum StoreMutation: Hashable, Sendable {
    case put(StoreKey, StoredEntry)
    case remove(StoreKey)
    case putRecord(StoredRecord)
    case removeRecord(queue: String, id: String)
}

/// What an operation answers, and the mutations that make it true.
package struct StorePlan<Result: Sendable>: Sendable {
    package var result: Result
    package var mutations: [StoreMutation]

    package init(result: Result, mutations: [StoreMutation]) {
        self.result = result
        self.mutations = mutations
    }
}

/// How much a store may hold.
package struct StoreLimits: Hashable, Sendable {
    package var maximumEntries: Int
    package var maximumBytes: Int

    package init(maximumEntries: Int, maximumBytes: Int) {
        self.maximumEntries = maximumEntries
        self.maximumBytes = maximumBytes
    }
}

/// The whole behaviour of a store, without time, threads or files: what `InMemoryStore` locks and `FileStore` logs.
///
/// An operation is planned first, which changes nothing that can be seen, and applied after. Between the two, a
/// durable store makes room for the mutations and may still refuse.
package struct StoreState: Sendable {
    private struct Ending: Comparable, Sendable {
        let at: Int64
        let version: UInt64
        let key: StoreKey
        static func < (left: Ending, right: Ending) -> Bool { (left.at, left.version) < (right.at, right.version) }
    }

    struct Due: Comparable, Sendable {
        let at: Int64
        let version: UInt64
        let id: String
        static func < (left: Due, right: Due) -> Bool { (left.at, left.version) < (right.at, right.version) }
    }

    struct Queue: Sendable {
        // Keyed by the id's bytes: strings would compare by canonical equivalence.
        var records: [[UInt8]: StoredRecord] = [:]
        var due = MinHeap<Due>()
        var deadCount = 0

        func isCurrent(_ due: Due) -> Bool {
            guard let record = records[Array(due.id.utf8)] else { return false }
            return record.version == due.version && record.dueAt == due.at && record.deadReason == nil
        }
    }

    package let capabilities: StoreCapabilities
    let limits: StoreLimits
    private(set) var entries: [StoreKey: StoredEntry] = [:]
    private var endings = MinHeap<Ending>()
    var queues: [RecordQueueName: Queue] = [:]
    private(set) var recordCount = 0
    private(set) var byteCount = 0
    private var clock: Int64 = 0
    /// When the last entry ended that was expired and freed, in Unix milliseconds.
    private var freedUntil: Int64 = .min
    /// The version that the next change gets.
    package var nextVersion: UInt64

    package init(capabilities: StoreCapabilities, limits: StoreLimits, nextVersion: UInt64 = 1) {
        self.capabilities = capabilities
        self.limits = limits
        self.nextVersion = nextVersion
    }

    /// Takes note of the time, which never goes backwards, and frees a few expired entries.
    @discardableResult
    package mutating func advance(to now: Int64) -> Int64 {
        clock = max(clock, now)
        reclaim(atMost: 16)
        return clock
    }

    /// The figures of its content.
    package var usage: StoreUsage {
        StoreUsage(
            entries: entries.count,
            records: recordCount,
            bytes: byteCount,
            maximumEntries: limits.maximumEntries,
            maximumBytes: limits.maximumBytes
        )
    }

    /// The latest time that was noted, in Unix nanoseconds.
    package var now: Int64 { clock }

    /// When the last entry ended whose absence, because it has expired, an answer about `keys` may show.
    ///
    /// - Parameter keys: What the answer is about; nil for everything.
    /// - Returns: Unix milliseconds; nil when it shows none.
    package func expiryShown(of keys: [StoreKey]?) -> Int64? {
        func ended(_ entry: StoredEntry?) -> Int64? {
            guard let entry else { return freedUntil == .min ? nil : freedUntil }
            return entry.isExpired(at: clock) ? entry.expiresAt : nil
        }
        guard let keys else { return (entries.values.compactMap(ended) + [freedUntil]).max() }
        return keys.compactMap { ended(entries[$0]) }.max()
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
        var mendings: [StoreMutation] = []
        var decisions: [AtomicUpdate.Decision] = []
        for (key, update) in updates {
            let application = update.apply(to: live(key)?.value, now: clock)
            decisions.append(application.decision)
            guard let value = application.value else { continue }
            let expiresAt = instant(after: application.expiresAfter)
            let put = StoreMutation.put(key, StoredEntry(value: value, version: version, expiresAt: expiresAt))
            if application.decision.isAllowed { mutations.append(put) } else { mendings.append(put) }
            version += 1
        }
        guard decisions.allSatisfy(\.isAllowed) else {
            return StorePlan(result: UpdateResult(isApplied: false, decisions: decisions), mutations: mendings)
        }
        try checkCapacity(for: mutations)
        return StorePlan(result: UpdateResult(isApplied: true, decisions: decisions), mutations: mutations)
    }

    package func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) throws(StoreError) -> StorePage {
        try checkPositive(limit, "limit")
        // One pass over all keys. Scans are for start-up and maintenance, never on the way of a request.
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

    /// Makes planned mutations true.
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

    /// Every live entry and every record, as mutations that rebuild them: the content of a checkpoint.
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
            endings.insert(Ending(at: expiresAt, version: new.version, key: key))
            if endings.count > 64 + 4 * entries.count {
                let entries = entries
                endings.compact { !Self.isCurrent($0, entries) }
            }
        }
    }

    private static func isCurrent(_ ending: Ending, _ entries: [StoreKey: StoredEntry]) -> Bool {
        guard let entry = entries[ending.key] else { return false }
        return entry.version == ending.version && entry.expiresAt == ending.at
    }

    mutating func reclaim(atMost count: Int) {
        for _ in 0..<count {
            guard let ending = endings.first, ending.at <= clock / 1_000_000 else { return }
            _ = endings.removeFirst()
            if Self.isCurrent(ending, entries) {
                set(ending.key, to: nil)
                freedUntil = max(freedUntil, ending.at)
            }
        }
    }

    private mutating func setRecord(_ record: StoredRecord) {
        let name = RecordQueueName(record.queue)
        let id = Array(record.id.utf8)
        let old = queues[name]?.records[id]
        recordCount += old == nil ? 1 : 0
        byteCount += record.byteCount - (old?.byteCount ?? 0)
        queues[name, default: Queue()].set(id, to: record)
    }

    private mutating func removeRecord(queue: String, id: String) {
        let name = RecordQueueName(queue)
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

    private static func holds(_ condition: Precondition, for current: StoredEntry?) -> Bool {
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

    /// The first whole millisecond that is at least `duration` from now.
    func instant(after duration: Duration) -> Int64 {
        let nanoseconds = clock.saturatingAdd(max(0, duration.saturatingNanoseconds))
        let milliseconds = nanoseconds / 1_000_000
        return nanoseconds % 1_000_000 == 0 || duration <= .zero ? milliseconds : milliseconds + 1
    }

    /// Refuses mutations for which there is no room, after expired entries have made what they can.
}

extension StoreWrite {
    var condition: Precondition {
        switch self {
        case .put(_, _, _, let condition), .delete(_, let condition), .touch(_, _, let condition),
            .check(_, let condition):
            condition
        }
    }
}
