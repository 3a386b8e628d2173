internal import ReliabilityCore
package import ReliabilityStore

/// A simple model of the guarantees of every store, with which simulated runs are compared.
///
/// Everything is in plain arrays and found by looking at each element. It shares the data types and the pure
/// `AtomicUpdate.apply` with the stores, and none of their code. It follows the doc comments; where those leave a
/// freedom it takes what the stores document as theirs: times in whole Unix milliseconds, rounded up, and versions in
/// the order of the writes, then of the records.
package struct ModelStore: Hashable, Sendable {
    struct Entry: Hashable, Sendable {
        var key: StoreKey
        var stored: StoredEntry
    }

    let capabilities: StoreCapabilities
    let limits: StoreLimits
    /// The version of the next change.
    package private(set) var nextVersion: UInt64
    /// The latest time so far in Unix nanoseconds.
    package private(set) var clock: Int64 = .min
    // Expired entries stay, because a clock that goes back in a crash makes them visible again.
    var entries: [Entry] = []
    var records: [StoredRecord] = []

    package init(
        nextVersion: UInt64 = 1,
        capabilities: StoreCapabilities = StoreCapabilities(durability: .none, openedAt: nil, canStall: false),
        limits: StoreLimits = StoreLimits(maxEntries: 1_000_000, maxBytes: 256 << 20)
    ) {
        self.nextVersion = nextVersion
        self.capabilities = capabilities
        self.limits = limits
    }

    /// Applies an operation at a time in nanoseconds since 1970, and returns the answer of a store.
    package mutating func apply(_ operation: WorkloadOperation, now: Int64) -> StoreAnswer {
        clock = max(clock, now)
        do throws(StoreError) {
            switch operation {
            case .get(let keys): return try get(keys)
            case .scan(let prefix, let after, let limit): return try scan(prefix, after, limit)
            case .commit(let writes, let records): return try commit(writes, records)
            case .update(let updates): return try update(updates)
            case .enqueue(let records): return try enqueue(records)
            case .claim(let queue, let limit, let lease): return try claim(queue, limit, lease)
            case .settle(let settlements): return try settle(settlements)
            case .nextDue(let queue): return try nextDue(queue)
            case .counts(let queue): return try counts(queue)
            case .page(let queue, let state, let after, let limit): return try page(queue, state, after, limit)
            }
        } catch {
            return .rejected(error.reason)
        }
    }

    /// Applies an opening: every lease ends, and versions continue from `nextVersion`.
    ///
    /// - Parameters:
    ///   - nextVersion: The first version that the opened store will issue.
    ///   - now: The opened store's clock. It may be behind the model's clock if no answer showed a later time.
    package mutating func reopen(nextVersion: UInt64, now: Int64) {
        self.nextVersion = nextVersion
        clock = now
        for index in records.indices where records[index].isLeased {
            records[index].dueAt = min(records[index].dueAt, now / 1_000_000)
        }
    }

    /// Returns the content at a time.
    package func content(now: Int64) -> StoreContent {
        let live = entries.filter { !isOver($0.stored, now) }
        return StoreContent(entries: live.map { .init($0.key, $0.stored) }, records: records)
    }

    // MARK: Time

    private func isOver(_ entry: StoredEntry, _ now: Int64) -> Bool {
        guard let end = entry.expiresAt else { return false }
        return end <= now / 1_000_000
    }

    /// Returns the first whole millisecond that is not before the time after `duration`.
    private func millisecond(after duration: Duration) -> Int64 {
        if duration <= .zero { return clock / 1_000_000 }
        let time = clock.saturatingAdd(duration.saturatingNanoseconds)
        return time / 1_000_000 + (time % 1_000_000 > 0 ? 1 : 0)
    }

    private func end(_ expiry: Expiry, of current: StoredEntry?) -> Int64? {
        switch expiry {
        case .never: nil
        case .after(let duration): millisecond(after: max(duration, .milliseconds(1)))
        case .keep: current?.expiresAt
        }
    }

    private func remaining(until millisecond: Int64) -> Duration {
        .nanoseconds(millisecond.saturatingMultiply(1_000_000).saturatingSubtract(clock))
    }

    // MARK: Entries

    private func live(_ key: StoreKey) -> StoredEntry? {
        entries.first { $0.key == key && !isOver($0.stored, clock) }?.stored
    }

    private func shown(_ stored: StoredEntry) -> StoreEntry {
        StoreEntry(
            value: stored.value,
            version: StoreVersion(rawValue: stored.version),
            remaining: stored.expiresAt.map { remaining(until: $0) }
        )
    }

    private mutating func set(_ key: StoreKey, _ stored: StoredEntry?) {
        let old = entries.firstIndex { $0.key == key }
        switch (old, stored) {
        case (let index?, let stored?): entries[index].stored = stored
        case (let index?, nil): entries.remove(at: index)
        // The entries are in the order of their keys, so stores with the same content are equal.
        case (nil, let stored?):
            entries.insert(Entry(key: key, stored: stored), at: entries.firstIndex { key < $0.key } ?? entries.count)
        case (nil, nil): break
        }
    }

    private mutating func newVersion() -> UInt64 {
        nextVersion += 1
        return nextVersion - 1
    }

    private func get(_ keys: [StoreKey]) throws(StoreError) -> StoreAnswer {
        for key in keys { try checkSize(key) }
        return .entries(keys.map { key in live(key).map { shown($0) } })
    }

    private func scan(_ prefix: StoreKey, _ after: StoreKey?, _ limit: Int) throws(StoreError) -> StoreAnswer {
        if limit < 1 { throw invalid }
        var found: [StoreAnswer.ScannedEntry] = []
        for entry in entries where entry.key.encoded.starts(with: prefix.encoded) {
            if let after, !(after < entry.key) { continue }
            if !isOver(entry.stored, clock) { found.append(.init(entry.key, shown(entry.stored))) }
        }
        let page = Array(found.prefix(limit))
        return .scanned(page, next: found.count > limit ? page.last?.key : nil)
    }

    private mutating func commit(_ writes: [StoreWrite], _ records: [NewRecord]) throws(StoreError) -> StoreAnswer {
        try checkKeys(writes.map(\.key))
        if writes.count + records.count > capabilities.maxWrites { throw invalid }
        for case .put(_, let value, _, _) in writes where value.count > capabilities.maxValueBytes { throw invalid }
        try checkRecords(records)
        for (index, write) in writes.enumerated() {
            let current = live(write.key)
            if !holds(write, current) {
                return .commit(.conflict(index: index, current: current.map { shown($0) }))
            }
        }
        var after = self
        var versions: [StoreVersion?] = []
        for write in writes { versions.append(after.make(write).map { StoreVersion(rawValue: $0) }) }
        let results = after.add(records)
        for (index, result) in results.enumerated() {
            if case .taken(let state) = result { return .commit(.taken(index: index, by: state)) }
        }
        try replace(with: after)
        return .commit(.committed(versions, records: results))
    }

    private func holds(_ write: StoreWrite, _ current: StoredEntry?) -> Bool {
        let condition: WriteCondition =
            switch write {
            case .put(_, _, _, let condition): condition
            case .delete(_, let condition): condition
            case .touch(_, _, let condition): condition
            case .check(_, let condition): condition
            }
        switch condition {
        case .any: return true
        case .absent: return current == nil
        case .present: return current != nil
        case .version(let version): return current.map { $0.version == version.rawValue } ?? false
        }
    }

    /// Makes a write and returns the version of the entry after the write.
    private mutating func make(_ write: StoreWrite) -> UInt64? {
        let current = live(write.key)
        switch write {
        case .put(let key, let value, let expiry, _):
            set(key, StoredEntry(value: value, version: newVersion(), expiresAt: end(expiry, of: current)))
        case .delete(let key, _):
            if current != nil { set(key, nil) }
        case .touch(let key, let expiry, _):
            if var touched = current {
                touched.expiresAt = end(expiry, of: current)
                set(key, touched)
            }
        case .check: break
        }
        return live(write.key)?.version
    }

    private mutating func update(_ updates: [WorkloadOperation.KeyedUpdate]) throws(StoreError) -> StoreAnswer {
        try checkKeys(updates.map(\.key))
        let applications = updates.map { $0.update.apply(to: live($0.key)?.value, now: clock) }
        let isApplied = applications.allSatisfy(\.decision.isAllowed)
        var after = self
        for (update, application) in zip(updates, applications) {
            guard let value = application.value else { continue }
            if isApplied || !application.decision.isAllowed {
                let end = millisecond(after: application.expiresAfter)
                after.set(update.key, StoredEntry(value: value, version: after.nextVersion, expiresAt: end))
                after.nextVersion += 1
            }
        }
        if isApplied { try replace(with: after) } else { self = after }
        return .update(UpdateResult(isApplied: isApplied, decisions: applications.map(\.decision)))
    }

    // MARK: Records

    private func position(_ queue: String, _ id: String) -> Int? {
        records.firstIndex { same($0.queue, queue) && same($0.id, id) }
    }

    /// Returns the positions of a queue's records in one state, in the order of their ids.
    private func positions(_ queue: QueueName, _ state: RecordState) -> [Int] {
        records.indices.filter { index in
            same(records[index].queue, queue.description)
                && (records[index].deadLetterReason != nil) == (state == .deadLetter)
        }
    }

    /// Adds the records that are missing.
    private mutating func add(_ new: [NewRecord]) -> [EnqueueResult] {
        new.map { new in
            let queue = new.queue.description
            if let there = position(queue, new.id).map({ records[$0] }) {
                if there.deadLetterReason != nil { return .taken(by: .deadLetter) }
                return there.payload == new.payload ? .duplicate : .taken(by: .pending)
            }
            let record = StoredRecord(
                queue: queue,
                id: new.id,
                payload: new.payload,
                version: newVersion(),
                attempts: 0,
                dueAt: millisecond(after: new.delay),
                isLeased: false,
                deadLetterReason: nil
            )
            records.insert(record, at: records.firstIndex { StoreContent.precedes(record, $0) } ?? records.count)
            return .enqueued
        }
    }

    private mutating func enqueue(_ new: [NewRecord]) throws(StoreError) -> StoreAnswer {
        try checkRecords(new)
        if new.count > capabilities.maxWrites { throw invalid }
        var after = self
        let results = after.add(new)
        try replace(with: after)
        return .enqueued(results)
    }

    private mutating func claim(_ queue: QueueName, _ limit: Int, _ lease: Duration) throws(StoreError) -> StoreAnswer {
        try checkName(queue)
        if limit < 1 || lease <= .zero { throw invalid }
        var due = positions(queue, .pending).filter { records[$0].dueAt <= clock / 1_000_000 }
        due.sort { (records[$0].dueAt, records[$0].version) < (records[$1].dueAt, records[$1].version) }
        var claims: [RecordClaim] = []
        for index in due.prefix(min(limit, capabilities.maxWrites)) {
            let wasAbandoned = records[index].isLeased
            records[index].version = newVersion()
            records[index].attempts += 1
            records[index].dueAt = millisecond(after: lease)
            records[index].isLeased = true
            claims.append(
                RecordClaim(
                    queue: queue,
                    id: records[index].id,
                    payload: records[index].payload,
                    attempt: records[index].attempts,
                    token: StoreVersion(rawValue: records[index].version),
                    wasAbandoned: wasAbandoned
                )
            )
        }
        return .claimed(claims)
    }

    private mutating func settle(_ settlements: [Settlement]) throws(StoreError) -> StoreAnswer {
        if settlements.count > capabilities.maxWrites { throw invalid }
        for (index, settlement) in settlements.enumerated() {
            for other in settlements[..<index] where same(other.id, settlement.id) {
                if same(other.queue.description, settlement.queue.description) { throw invalid }
            }
            if case .extend(let lease) = settlement.action, lease <= .zero { throw invalid }
        }
        return .settled(settlements.map { settle($0) ? .settled : .stale })
    }

    private mutating func settle(_ settlement: Settlement) -> Bool {
        guard let index = position(settlement.queue.description, settlement.id),
            records[index].version == settlement.token.rawValue
        else { return false }
        var record = records[index]
        let isDead = record.deadLetterReason != nil
        switch settlement.action {
        case .done:
            records.remove(at: index)
            return true
        case .extend(let lease):
            if isDead { return false }
            // The token stays valid after this action only.
            records[index].dueAt = millisecond(after: lease)
            return true
        case .retry(let wait, let countsAttempt):
            if isDead { return false }
            if !countsAttempt, record.attempts > 0 { record.attempts -= 1 }
            record.dueAt = millisecond(after: wait)
            record.isLeased = false
        case .holdBack(let wait):
            if isDead { return false }
            if record.attempts > 0 { record.attempts -= 1 }
            record.dueAt = millisecond(after: wait)
            record.isLeased = true
        case .deadLetter(let reason):
            if isDead { return false }
            var stored = ""
            for character in reason.unicodeScalars {
                if stored.utf8.count + String(character).utf8.count > 1024 { break }
                stored.unicodeScalars.append(character)
            }
            record.deadLetterReason = stored
            record.dueAt = clock / 1_000_000
            record.isLeased = false
        case .redrive:
            if !isDead { return false }
            record.deadLetterReason = nil
            record.attempts = 0
            record.dueAt = clock / 1_000_000
        }
        record.version = newVersion()
        records[index] = record
        return true
    }

    private func nextDue(_ queue: QueueName) throws(StoreError) -> StoreAnswer {
        try checkName(queue)
        let first = positions(queue, .pending).map { records[$0].dueAt }.min()
        return .nextDue(first.map { remaining(until: $0) })
    }

    private func counts(_ queue: QueueName) throws(StoreError) -> StoreAnswer {
        try checkName(queue)
        return .counts(
            RecordCounts(pending: positions(queue, .pending).count, deadLetters: positions(queue, .deadLetter).count)
        )
    }

    private func page(
        _ queue: QueueName,
        _ state: RecordState,
        _ after: String?,
        _ limit: Int
    ) throws(StoreError) -> StoreAnswer {
        try checkName(queue)
        if limit < 1 { throw invalid }
        var found: [RecordInfo] = []
        for record in positions(queue, state).map({ records[$0] }) {
            if let after, !after.utf8.lexicographicallyPrecedes(record.id.utf8) { continue }
            found.append(
                RecordInfo(
                    id: record.id,
                    payload: record.payload,
                    version: StoreVersion(rawValue: record.version),
                    attempts: record.attempts,
                    isLeased: record.isLeased && record.dueAt > clock / 1_000_000,
                    due: state == .deadLetter
                        ? min(.zero, remaining(until: record.dueAt)) : remaining(until: record.dueAt),
                    deadLetterReason: record.deadLetterReason
                )
            )
        }
        let page = Array(found.prefix(limit))
        return .page(RecordPage(records: page, next: found.count > limit ? page.last?.id : nil))
    }

    // MARK: Rejections

    private var invalid: StoreError { StoreError(.invalid, "the model rejects it") }

    private func same(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }

    private func checkSize(_ key: StoreKey) throws(StoreError) {
        if key.encoded.count > capabilities.maxKeyBytes { throw invalid }
    }

    private func checkKeys(_ keys: [StoreKey]) throws(StoreError) {
        for (index, key) in keys.enumerated() {
            try checkSize(key)
            if keys[..<index].contains(key) { throw invalid }
        }
        if keys.count > capabilities.maxWrites { throw invalid }
    }

    private func checkName(_ queue: QueueName) throws(StoreError) {
        if queue.description.utf8.isEmpty || queue.description.utf8.count > 64 { throw invalid }
    }

    private func checkRecords(_ records: [NewRecord]) throws(StoreError) {
        for record in records {
            try checkName(record.queue)
            if record.id.utf8.isEmpty || record.id.utf8.count > 256 { throw invalid }
            if record.payload.count > capabilities.maxValueBytes { throw invalid }
        }
    }

    /// Returns the number of live entries and records, and their bytes with an overhead of 64 each.
    private var load: (count: Int, bytes: Int) {
        let live = entries.filter { !isOver($0.stored, clock) }
        var bytes = 0
        for entry in live { bytes += entry.key.encoded.count + entry.stored.value.count + 64 }
        for record in records {
            bytes += record.queue.utf8.count + record.id.utf8.count + record.payload.count + 64
            bytes += record.deadLetterReason?.utf8.count ?? 0
        }
        return (live.count + records.count, bytes)
    }

    /// Becomes `after` unless that state is larger than before and above the limits.
    private mutating func replace(with after: ModelStore) throws(StoreError) {
        let (old, new) = (load, after.load)
        if new.count > old.count && new.count > limits.maxEntries
            || new.bytes > old.bytes && new.bytes > limits.maxBytes
        {
            throw StoreError(.capacityExceeded, "the model is full")
        }
        self = after
    }
}
