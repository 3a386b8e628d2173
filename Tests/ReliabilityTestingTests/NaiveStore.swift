import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting

/// A second store, as simple as can be, with a mistake if one is asked for: on it the conformance checks are seen to
/// fail.
///
/// Without a mistake it passes them all.
actor NaiveStore: RecordStore {
    struct Entry {
        var key: StoreKey
        var value: [UInt8]
        var version: UInt64
        var end: Duration?
    }

    struct Record {
        var queue: String
        var id: String
        var payload: [UInt8]
        var version: UInt64
        var attempts = 0
        var due: Duration
        var isLeased = false
        var deadReason: String?
    }

    nonisolated let capabilities = StoreCapabilities(
        durability: .none,
        openedAt: nil,
        canStall: false,
        maximumValueBytes: 8192
    )
    private let mistake: Mistake?
    private let clock: ManualClock
    private let origin: ManualClock.Instant
    private var entries: [Entry] = []
    private var records: [Record] = []
    private var lastVersion: UInt64 = 0
    private var offsets: [StoreKey: Int] = [:]
    private var stale: [StoreKey: [UInt8]] = [:]

    init(_ mistake: Mistake? = nil, clock: ManualClock) {
        self.mistake = mistake
        self.clock = clock
        origin = clock.now
    }

    private var now: Duration { origin.duration(to: clock.now) }

    private func nextVersion() -> UInt64 {
        lastVersion += 1
        return lastVersion
    }

    private func end(after life: Duration, least: Duration = .milliseconds(1)) -> Duration {
        var life = max(least, life)
        if mistake == .wholeSeconds { life = .seconds(life.components.seconds) }
        if mistake == .overflow {
            return now + .nanoseconds(Int64(truncatingIfNeeded: life.attoseconds / 1_000_000_000))
        }
        // A thousand years are as good as for ever, and cannot overflow.
        return now + min(life, .seconds(1000 * 365 * 86_400))
    }

    // MARK: Entries

    private func same(_ left: StoreKey, _ right: StoreKey) -> Bool {
        guard mistake == .keysByUnicode else { return left == right }
        return String(decoding: left.encoded, as: UTF8.self) == String(decoding: right.encoded, as: UTF8.self)
    }

    private func isLive(_ entry: Entry) -> Bool {
        guard let end = entry.end else { return true }
        return mistake == .aliveAtTheEnd ? end >= now : end > now
    }

    private func live(_ key: StoreKey) -> Entry? { entries.first { same($0.key, key) && isLive($0) } }

    private func reading(_ entry: Entry?) -> StoreEntry? {
        guard let entry else { return nil }
        if mistake == .emptyIsMissing, entry.value.isEmpty { return nil }
        return StoreEntry(
            value: entry.value,
            version: StoreVersion(rawValue: entry.version),
            remaining: entry.end.map { $0 - now }
        )
    }

    func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        try checkKeys(keys, isWrite: false)
        var found: [StoreEntry?] = []
        for key in keys {
            found.append(reading(live(key)))
            if mistake == .tornReads { await Task.yield() }
        }
        return found
    }

    func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        try await commit(writes, enqueueing: [])
    }

    func commit(_ writes: [StoreWrite], enqueueing new: [NewRecord]) async throws(StoreError) -> CommitResult {
        try checkCancellation()
        try checkKeys(writes.map(\.key))
        if mistake != .noLimits, writes.count + new.count > capabilities.maximumWrites {
            throw StoreError(.invalid, "")
        }
        for case .put(_, let value, _, _) in writes { try checkValue(value) }
        try checkRecords(new)
        for (index, write) in writes.enumerated() {
            if !holds(write) {
                if mistake == .partlyCommitted { for write in writes[..<index] { _ = try make(write) } }
                if mistake == .enqueuesOnConflict { for record in new { _ = add(record) } }
                return .conflict(index: index, current: reading(live(write.key)))
            }
            if mistake == .checksThenWaits { await Task.yield() }
        }
        let added = writes.filter { write in
            if case .put = write { !entries.contains { same($0.key, write.key) && isLive($0) } } else { false }
        }
        try checkCapacity(added.count + new.count)
        var versions: [StoreVersion?] = []
        for write in writes { versions.append(try make(write)) }
        for record in new { _ = add(record) }
        return .committed(versions)
    }

    private func holds(_ write: StoreWrite) -> Bool {
        let condition: Precondition =
            switch write {
            case .put(_, _, _, let condition), .delete(_, let condition), .touch(_, _, let condition),
                .check(_, let condition):
                condition
            }
        let current = live(write.key)
        switch condition {
        case .any: return true
        case .absent:
            if mistake == .expiredBlocksCreate { return !entries.contains { same($0.key, write.key) } }
            return current == nil
        case .present: return current != nil
        case .version(let version):
            if mistake == .anyVersionOfNothing, current == nil { return true }
            if mistake == .expiredHasItsVersion {
                return entries.contains { same($0.key, write.key) && $0.version == version.rawValue }
            }
            return current?.version == version.rawValue
        }
    }

    private func make(_ write: StoreWrite) throws(StoreError) -> StoreVersion? {
        let old = live(write.key)
        let others = entries.filter { !same($0.key, write.key) }
        func expiry(_ expiry: Expiry) -> Duration? {
            switch expiry {
            case .never: mistake == .neverMeansKeep ? old?.end : nil
            case .after(let life): end(after: life)
            case .keep: old?.end
            }
        }
        switch write {
        case .put(let key, let value, let expires, _):
            var version = nextVersion()
            if mistake == .versionsPerKey { version = (old?.version ?? 0) + 1 }
            entries = others + [Entry(key: key, value: value, version: version, end: expiry(expires))]
            return StoreVersion(rawValue: version)
        case .delete:
            entries = others
            return mistake == .deleteReturnsVersion ? old.map { StoreVersion(rawValue: $0.version) } : nil
        case .touch(_, let expires, _):
            guard var entry = old else { return nil }
            var end = expiry(expires)
            if mistake == .touchAddsToTheEnd, case .after(let life) = expires { end = (old?.end ?? now) + life }
            entry.end = end
            if mistake == .touchMakesVersion { entry.version = nextVersion() }
            entries = others + [entry]
            return StoreVersion(rawValue: entry.version)
        case .check:
            return old.map { StoreVersion(rawValue: $0.version) }
        }
    }

    func update(_ updates: [(key: StoreKey, update: AtomicUpdate)]) async throws(StoreError) -> UpdateResult {
        try checkCancellation()
        try checkKeys(updates.map(\.key))
        var instant = Int64(1_000_000_000_000_000_000 + now.attoseconds / 1_000_000_000)
        if mistake == .coarseClock { instant = instant / 100_000_000 * 100_000_000 }
        var decisions: [AtomicUpdate.Decision] = []
        var changes: [(StoreKey, [UInt8], Duration)] = []
        var mendings: [(StoreKey, [UInt8], Duration)] = []
        for (key, update) in updates {
            var state = live(key)?.value
            if mistake == .staleReplica, case .add(0, _, _) = update { state = stale[key] }
            let application = update.apply(to: state, now: instant)
            decisions.append(application.decision)
            if let value = application.value {
                changes.append((key, value, application.expiresAfter))
                if !application.decision.isAllowed { mendings.append((key, value, application.expiresAfter)) }
            }
            if mistake == .updatesThenWaits { await Task.yield() }
        }
        let isApplied = decisions.allSatisfy(\.isAllowed)
        if !isApplied, mistake != .partlyUpdated { changes = mendings }
        if !changes.isEmpty {
            try checkCapacity(changes.count { change in !entries.contains { same($0.key, change.0) && isLive($0) } })
            for (key, value, life) in changes {
                stale[key] = live(key)?.value
                let isForEver = mistake == .updatesLiveForEver
                let entry = Entry(
                    key: key,
                    value: value,
                    version: nextVersion(),
                    end: isForEver ? nil : end(after: life)
                )
                entries = entries.filter { !same($0.key, key) } + [entry]
            }
        }
        return UpdateResult(isApplied: isApplied, decisions: decisions)
    }

    func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        if limit < 1 { throw StoreError(.invalid, "") }
        let isScanned: (Entry) -> Bool = { entry in
            if self.mistake == .scanBySpace { return entry.key.encoded.prefix(4) == prefix.encoded.prefix(4) }
            return entry.key.hasPrefix(prefix)
        }
        var found = entries.filter { isScanned($0) && (isLive($0) || mistake == .scanShowsExpired) }
        found.sort { $0.key < $1.key }
        if mistake == .offsets {
            found.removeFirst(min(found.count, after.flatMap { offsets[$0] } ?? 0))
        } else if let after {
            found = found.filter { mistake == .afterIncludes ? !($0.key < after) : after < $0.key }
        }
        let page = found.prefix(limit)
        let next = found.count > limit ? page.last?.key : nil
        if let next { offsets[next] = (after.flatMap { offsets[$0] } ?? 0) + page.count }
        return StorePage(
            entries: page.compactMap { entry in reading(entry).map { (entry.key, $0) } },
            next: next
        )
    }

    // MARK: Records

    private func position(_ queue: RecordQueue, _ id: String) -> Int? {
        records.firstIndex { $0.queue.utf8.elementsEqual(queue.description.utf8) && $0.id.utf8.elementsEqual(id.utf8) }
    }

    private func add(_ new: NewRecord) -> EnqueueResult {
        let record = Record(
            queue: new.queue.description,
            id: new.id,
            payload: new.payload,
            version: nextVersion(),
            due: new.delay <= .zero ? now : end(after: new.delay)
        )
        if let position = position(new.queue, new.id) {
            if mistake == .enqueueReplaces { records[position] = record }
            return .duplicate
        }
        records.append(record)
        return .enqueued
    }

    func enqueue(_ new: [NewRecord]) async throws(StoreError) -> [EnqueueResult] {
        try checkCancellation()
        try checkRecords(new)
        if mistake != .noLimits, new.count > capabilities.maximumWrites { throw StoreError(.invalid, "") }
        try checkCapacity(new.count)
        return new.map(add)
    }

    func claim(_ queue: RecordQueue, limit: Int, lease: Duration) async throws(StoreError) -> [RecordClaim] {
        try checkCancellation()
        try checkQueue(queue)
        if limit < 1 || lease <= .zero { throw StoreError(.invalid, "") }
        var due = records.filter { $0.queue == queue.description && $0.deadReason == nil && $0.due <= now }
        if mistake != .claimsInAnyOrder { due.sort { ($0.due, $0.version) < ($1.due, $1.version) } }
        if mistake == .claimsThenWaits { await Task.yield() }
        var claims: [RecordClaim] = []
        for record in due.prefix(limit) {
            guard let position = position(queue, record.id) else { continue }
            if mistake != .claimKeepsToken { records[position].version = nextVersion() }
            if mistake != .attemptsOfRetries { records[position].attempts += 1 }
            records[position].isLeased = true
            if mistake != .noLease { records[position].due = end(after: lease, least: .zero) }
            claims.append(
                RecordClaim(
                    queue: queue,
                    id: record.id,
                    payload: record.payload,
                    attempt: max(1, records[position].attempts),
                    token: StoreVersion(rawValue: records[position].version)
                )
            )
        }
        return claims
    }

    func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult] {
        try checkCancellation()
        if mistake != .noLimits, settlements.count > capabilities.maximumWrites { throw StoreError(.invalid, "") }
        var names: Set<[[UInt8]]> = []
        for settlement in settlements {
            let name = [Array(settlement.queue.description.utf8), Array(settlement.id.utf8)]
            let isNew = names.insert(name).inserted
            if !isNew || settlement.action == .extend(.zero) { throw StoreError(.invalid, "") }
        }
        var results: [SettleResult] = []
        for settlement in settlements {
            let isSettled = await settle(settlement)
            if mistake == .staleStopsTheRest, !isSettled { return settlements.map { _ in .stale } }
            results.append(isSettled ? .settled : .stale)
        }
        return results
    }

    private func settle(_ settlement: Settlement) async -> Bool {
        guard let found = position(settlement.queue, settlement.id) else { return mistake == .doneTwice }
        guard records[found].version == settlement.token.rawValue || mistake == .settlesByID else { return false }
        if mistake == .settlesThenWaits { await Task.yield() }
        guard let position = position(settlement.queue, settlement.id) else { return false }
        var record = records[position]
        let isDead = record.deadReason != nil
        switch settlement.action {
        case .done:
            records.remove(at: position)
            return true
        case .retry(let wait, let countsAttempt):
            if isDead { return false }
            if !countsAttempt { record.attempts = max(0, record.attempts - 1) }
            if mistake == .attemptsOfRetries, countsAttempt { record.attempts += 1 }
            record.due = wait <= .zero ? now : end(after: wait)
            record.isLeased = false
            if mistake == .waitingIsDead { record.deadReason = "waiting" }
            if mistake == .retryKeepsToken {
                records[position] = record
                return true
            }
        case .extend(let lease):
            if isDead { return false }
            record.due = mistake == .extendsTheLease ? record.due + lease : end(after: lease, least: .zero)
            records[position] = record
            return true
        case .dead(let reason):
            if isDead { return false }
            record.deadReason = reason
            record.isLeased = false
        case .redrive:
            if !isDead { return false }
            record.deadReason = nil
            if mistake != .redriveKeepsAttempts { record.attempts = 0 }
            record.due = now
        }
        record.version = nextVersion()
        records[position] = record
        return true
    }

    func nextDue(_ queue: RecordQueue) async throws(StoreError) -> Duration? {
        try checkQueue(queue)
        let waiting = records.filter { record in
            record.queue == queue.description && record.deadReason == nil
                && !(mistake == .leasesAreNotDue && record.isLeased)
        }
        return waiting.map(\.due).min().map { max(.zero, $0 - now) }
    }

    func counts(_ queue: RecordQueue) async throws(StoreError) -> RecordCounts {
        try checkQueue(queue)
        let all = records.filter { $0.queue == queue.description }
        let dead = all.filter { $0.deadReason != nil }.count
        return RecordCounts(pending: all.count - dead, dead: dead)
    }

    func page(
        _ queue: RecordQueue,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) async throws(StoreError) -> RecordPage {
        try checkQueue(queue)
        if limit < 1 { throw StoreError(.invalid, "") }
        func precedes(_ left: String, _ right: String) -> Bool {
            mistake == .pagesByText ? left < right : left.utf8.lexicographicallyPrecedes(right.utf8)
        }
        var found = records.filter { $0.queue == queue.description && ($0.deadReason != nil) == (state == .dead) }
        found.sort { precedes($0.id, $1.id) }
        if let after { found = found.filter { precedes(after, $0.id) } }
        let infos = found.prefix(limit).map { record in
            RecordInfo(
                id: record.id,
                payload: record.payload,
                version: StoreVersion(rawValue: record.version),
                attempts: record.attempts,
                isLeased: record.isLeased && record.due > now,
                deadReason: record.deadReason
            )
        }
        return RecordPage(records: infos, next: found.count > limit ? infos.last?.id : nil)
    }

    // MARK: Limits

    private func checkCancellation() throws(StoreError) {
        if Task.isCancelled, mistake != .cancelledTasksWrite { throw StoreError(.cancelled, "") }
    }

    private func checkKeys(_ keys: [StoreKey], isWrite: Bool = true) throws(StoreError) {
        if mistake == .noLimits { return }
        if keys.contains(where: { $0.byteCount > capabilities.maximumKeyBytes }) { throw StoreError(.invalid, "") }
        if !isWrite { return }
        if Set(keys).count < keys.count, mistake != .keysTwice { throw StoreError(.invalid, "") }
        if keys.count > capabilities.maximumWrites { throw StoreError(.invalid, "") }
    }

    private func checkValue(_ value: [UInt8]) throws(StoreError) {
        let most = mistake == .limitTooSmall ? capabilities.maximumValueBytes - 1 : capabilities.maximumValueBytes
        if value.count > most, mistake != .noLimits { throw StoreError(.invalid, "") }
    }

    private func checkRecords(_ records: [NewRecord]) throws(StoreError) {
        if mistake == .noLimits { return }
        for record in records {
            try checkQueue(record.queue)
            if record.id.utf8.isEmpty || record.id.utf8.count > 256 { throw StoreError(.invalid, "") }
            try checkValue(record.payload)
        }
    }

    private func checkQueue(_ queue: RecordQueue) throws(StoreError) {
        let isNamed = (1...64).contains(queue.description.utf8.count)
        if !isNamed, mistake != .noLimits { throw StoreError(.invalid, "") }
    }

    private func checkCapacity(_ new: Int) throws(StoreError) {
        let most = 450
        if entries.count + new <= most || new == 0 { return }
        if mistake != .expiredTakesRoom { entries.removeAll { !isLive($0) } }
        if entries.count + new <= most { return }
        if mistake == .evicts {
            entries.removeFirst(min(new, entries.count))
        } else {
            throw StoreError(.capacityExceeded, "")
        }
    }
}
