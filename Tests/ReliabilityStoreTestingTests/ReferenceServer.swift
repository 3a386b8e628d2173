import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting

/// The server of a ``NaiveStore``: lists with linear search.
actor ReferenceServer {
    typealias Client = NaiveStore.Client

    struct Entry {
        var key: StoreKey
        var value: [UInt8]
        var version: UInt64
        var end: Duration?
        /// The lifetime at the time of the write.
        var life: Duration?
    }

    struct Record {
        var queue: String
        var id: String
        var payload: [UInt8]
        var version: UInt64
        var attempts = 0
        var due: Duration
        var isLeased = false
        var deadLetterReason: String?
    }

    /// The stored state.
    struct State {
        var entries: [Entry] = []
        var records: [Record] = []
        var lastVersion: UInt64 = 0
    }

    nonisolated let capabilities: StoreCapabilities
    let mutant: Mutant?
    private let isOwned: Bool
    private let clock: ManualClock
    var state: State

    private var losesAnswer = false

    // The state of mistakes.
    private var offsets: [StoreKey: Int] = [:]
    var recordOffsets: [String: Int] = [:]
    private var stale: [StoreKey: [UInt8]] = [:]
    private var deleted: [Entry] = []
    private var earlier: [State] = []
    private var cache: [Int: [StoreKey: Entry?]] = [:]
    private var blocks: [Int: Range<UInt64>] = [:]
    private var lockedClients: Set<Int> = []
    private var locks: [StoreKey: Int] = [:]
    private var waits: [Int: StoreKey] = [:]
    private var lastLocker = 0
    var isBusy = false
    var isUpdating = false
    var done: Set<[String]> = []

    init(_ state: State, _ mutant: Mutant?, isOwned: Bool, clock: ManualClock) {
        self.state = state
        self.mutant = mutant
        self.isOwned = isOwned
        self.clock = clock
        let isLow = mutant == .limitsAreLow
        var openedAt = isOwned ? state.lastVersion + 1 : nil
        if mutant == .opensAheadOfVersions { openedAt? += 1000 }
        if mutant == .ownerIsAlwaysTheFirst || mutant == .everyClientIsOwner { openedAt = 1 }
        capabilities = StoreCapabilities(
            durability: .powerLoss,
            openedAt: openedAt.map { StoreVersion(rawValue: $0) },
            canStall: false,
            maxValueBytes: 8192,
            maxWrites: isLow ? 4 : 128
        )
    }

    /// Returns the state that the next owner finds.
    func successor(crashed: Bool) -> ReferenceServer {
        var state = state
        if crashed, mutant == .acknowledgesEarly { state = earlier.first ?? state }
        if crashed, mutant == .tornCommits { _ = state.entries.popLast() }
        if mutant == .emptyIsDeleted { state.entries.removeAll(where: \.value.isEmpty) }
        if mutant == .deletedComeBack {
            state.entries += deleted.filter { old in !state.entries.contains { $0.key == old.key } }
        }
        if mutant == .versionsFromWhatIsLeft {
            state.lastVersion = (state.entries.map(\.version) + state.records.map(\.version)).max() ?? 0
        }
        for position in state.entries.indices {
            guard mutant == .expiryRestarts, let life = state.entries[position].life else { continue }
            state.entries[position].end = now + life
        }
        for position in state.records.indices {
            if mutant == .forgetsAttempts { state.records[position].attempts = 0 }
            guard isOwned, mutant != .leasesOfThePreviousOwner, state.records[position].isLeased else { continue }
            if mutant == .openingSettles { state.records[position].isLeased = false }
            state.records[position].due = min(state.records[position].due, now)
        }
        return ReferenceServer(state, mutant, isOwned: isOwned, clock: clock)
    }

    // MARK: Answers

    /// Loses the answer to the next write after the write was made.
    func loseAnswer() { losesAnswer = true }

    /// Makes a write and returns its answer.
    func answer<Success: Sendable>(
        _ body: @Sendable (isolated ReferenceServer) async throws(StoreError) -> Success
    ) async throws(StoreError) -> Success {
        let before = state
        if mutant == .acknowledgesEarly { earlier = earlier.suffix(39) + [before] }
        let isLost = losesAnswer
        losesAnswer = false
        let result = try await body(self)
        if isLost {
            switch mutant {
            case .lostIsFailed: throw StoreError(.unavailable, "the connection broke")
            case .lostIsRepeated: return try await body(self)
            case .lostIsDone:
                state = before
                return result
            default: throw StoreError(.unknownOutcome, "the connection broke")
            }
        }
        if mutant == .cancelledAfterwards {
            for _ in 0..<10 { await Task.yield() }
            if Task.isCancelled { throw StoreError(.cancelled, "") }
        }
        return result
    }

    // MARK: Time and versions

    var now: Duration { ManualClock().now.duration(to: clock.now) }

    /// The time of the client's own clock.
    private func now(of client: Client) -> Duration { ManualClock().now.duration(to: client.clock.now) }

    func nextVersion(_ client: Client) -> UInt64 {
        if mutant == .versionsInBlocks {
            var block = blocks[client.id] ?? 0..<0
            if block.isEmpty {
                block = state.lastVersion + 1..<state.lastVersion + 21
                state.lastVersion += 20
            }
            blocks[client.id] = block.dropFirst()
            return block.lowerBound
        }
        state.lastVersion += 1
        return state.lastVersion
    }

    func end(after life: Duration, least: Duration, from start: Duration) -> Duration {
        if mutant == .overflow {
            return start + .nanoseconds(Int64(truncatingIfNeeded: max(least, life).attoseconds / 1_000_000_000))
        }
        // A thousand years are as good as forever, and cannot overflow.
        let life = min(max(least, life), .seconds(1000 * 365 * 86_400))
        if mutant == .upToSeconds { return start + .seconds(life.components.seconds + 1) }
        return start + (mutant == .wholeSeconds ? .seconds(life.components.seconds) : life)
    }

    private func endOfLife(_ life: Duration, _ client: Client) -> Duration? {
        if mutant == .expiryIsIgnored { return nil }
        return end(after: life, least: .milliseconds(1), from: mutant == .endsByTheClient ? now(of: client) : now)
    }

    private func endOfUpdate(_ life: Duration, _ client: Client) -> Duration? {
        switch mutant {
        case .updatesNeverExpire: nil
        case .updateExpiryOverflows:
            now + .milliseconds(Int32(truncatingIfNeeded: life.attoseconds / 1_000_000_000_000_000))
        default: endOfLife(life, client)
        }
    }

    /// The number of rows that a server returns if a query asks for one row more than the limit.
    func fetched(_ count: Int, _ limit: Int) -> Int {
        if mutant != .limitsOverflow { return count }
        return min(count, max(0, Int(Int32(truncatingIfNeeded: limit &+ 1))))
    }

    /// The due time of a record with a delay.
    func due(after wait: Duration, least: Duration = .milliseconds(1), _ client: Client) -> Duration {
        let start = mutant == .dueByTheClient ? now(of: client) : now
        return wait <= .zero ? start : end(after: wait, least: least, from: start)
    }

    // MARK: Entries

    private func same(_ left: StoreKey, _ right: StoreKey) -> Bool {
        switch mutant {
        case .keysByUnicode:
            String(decoding: left.encoded, as: UTF8.self) == String(decoding: right.encoded, as: UTF8.self)
        case .keysEndAtNUL: left.encoded.prefix { $0 != 0 } == right.encoded.prefix { $0 != 0 }
        case .keysAreCut: left.encoded.prefix(1000) == right.encoded.prefix(1000)
        default: left == right
        }
    }

    private func isLive(_ entry: Entry) -> Bool {
        guard let end = entry.end else { return true }
        return mutant == .presentAtTheEnd ? end >= now : end > now
    }

    private func live(_ key: StoreKey) -> Entry? { state.entries.first { same($0.key, key) && isLive($0) } }

    private func reading(_ entry: Entry?) -> StoreEntry? {
        guard let entry else { return nil }
        if mutant == .emptyIsMissing, entry.value.isEmpty { return nil }
        return StoreEntry(
            value: entry.value,
            version: StoreVersion(rawValue: entry.version),
            remaining: entry.end.map { $0 - now }
        )
    }

    func get(_ keys: [StoreKey], _ client: Client) async throws(StoreError) -> [StoreEntry?] {
        try checkKeys(keys, isWrite: false)
        if mutant == .cancelledFindsNothing, Task.isCancelled { return keys.map { _ in nil } }
        var found: [StoreEntry?] = []
        for key in keys {
            var entry = live(key)
            if mutant == .readsExtend, let read = entry, let life = read.life {
                let prolonged = state.entries.firstIndex { $0.version == read.version }
                if let prolonged { state.entries[prolonged].end = endOfLife(life, client) }
            }
            if mutant == .readsThroughACache {
                if let cached = cache[client.id]?[key] { entry = cached.flatMap { isLive($0) ? $0 : nil } }
                cache[client.id, default: [:]][key] = .some(entry)
            }
            if mutant == .missingIsLeftOut, entry == nil { continue }
            found.append(reading(entry))
            if mutant == .tornReads { await Task.yield() }
        }
        return found
    }

    func commit(
        _ writes: [StoreWrite],
        _ new: [NewRecord],
        _ client: Client
    ) async throws(StoreError) -> RecordCommitResult {
        try checkCancellation()
        try checkKeys(writes.map(\.key))
        if mutant != .noLimits, writes.count + new.count > capabilities.maxWrites {
            throw StoreError(.invalid, "")
        }
        for case .put(_, let value, _, _) in writes { try checkValue(value) }
        try checkRecords(new)
        if mutant == .failsWhenBusy {
            if isBusy { throw StoreError(.unavailable, "database is locked") }
            isBusy = true
            await Task.yield()
        }
        defer { isBusy = false }
        let early = mutant == .conflictsFromBefore ? writes.map { reading(live($0.key)) } : []
        let held = mutant == .touchesWriteBack ? writes.map { live($0.key) } : []
        if mutant == .conflictsFromBefore || mutant == .touchesWriteBack { await Task.yield() }
        let locker = try await lock(writes.map(\.key))
        defer { unlock(locker) }
        await lock(client)
        defer { lockedClients.remove(client.id) }
        var numbers: [UInt64] = []
        if mutant == .versionsBeforeTheLock {
            numbers = writes.map { _ in nextVersion(client) }
            // Every other call waits until another call has overtaken it.
            for _ in 0..<200 where numbers.last.map({ $0 % 2 == 0 && state.lastVersion < $0 + 2 }) ?? false {
                await Task.yield()
            }
        }
        for (index, write) in writes.enumerated() {
            if !holds(write) {
                if mutant == .partlyCommitted { for write in writes[..<index] { _ = make(write, client) } }
                if mutant == .enqueuesOnConflict { for record in new { _ = add(record, client) } }
                return .conflict(index: index, current: early.isEmpty ? reading(live(write.key)) : early[index])
            }
            if mutant == .checksThenWaits || mutant == .locksPerClient { await Task.yield() }
        }
        if mutant == .checksDoNotLock {
            await Task.yield()
            for (index, write) in writes.enumerated() {
                if case .check = write { continue }
                if !holds(write) { return .conflict(index: index, current: reading(live(write.key))) }
            }
        }
        if let taken = firstTaken(new) { return .taken(index: taken.index, by: taken.state) }
        let added = writes.filter { write in
            if case .put = write { live(write.key) == nil } else { false }
        }
        try checkCapacity(added.count + new.count)
        var versions: [StoreVersion?] = []
        for (index, write) in writes.enumerated() {
            versions.append(make(write, client, numbers.isEmpty ? nil : numbers[index]))
            if case .touch = write, mutant == .touchesWriteBack, let old = held[index] {
                guard let position = state.entries.firstIndex(where: { $0.key == write.key }) else { continue }
                state.entries[position].value = old.value
                state.entries[position].version = old.version
            }
            cache[client.id]?[write.key] = nil
        }
        if mutant == .expiryOfACommit, let end = state.entries.last(where: { $0.end != nil })?.end {
            for write in writes {
                guard case .put = write, let at = state.entries.firstIndex(where: { $0.key == write.key }) else {
                    continue
                }
                if state.entries[at].end != nil { state.entries[at].end = end }
            }
        }
        let results = new.map { add($0, client) }
        await endInASecondStep(writes.map(\.key))
        return .committed(versions, records: results)
    }

    private func holds(_ write: StoreWrite) -> Bool {
        let condition: WriteCondition =
            switch write {
            case .put(_, _, _, let condition), .delete(_, let condition), .touch(_, _, let condition),
                .check(_, let condition):
                condition
            }
        let incarnations = state.entries.filter { same($0.key, write.key) }
        let current = mutant == .conditionsAtTheEnd ? incarnations.first { $0.end ?? now >= now } : live(write.key)
        switch condition {
        case .any: return true
        case .absent: return mutant == .expiredBlocksCreate ? incarnations.isEmpty : current == nil
        case .present: return current != nil
        case .version(let version):
            switch mutant {
            case .anyVersionOfNothing: return current == nil || current?.version == version.rawValue
            case .expiredHasItsVersion: return incarnations.contains { $0.version == version.rawValue }
            case .completesUnconditionally: return current != nil
            case .olderVersionsAreAccepted: return current.map { $0.version >= version.rawValue } ?? false
            default: return current?.version == version.rawValue
            }
        }
    }

    private func make(_ write: StoreWrite, _ client: Client, _ given: UInt64? = nil) -> StoreVersion? {
        let old = live(write.key)
        let others = state.entries.filter { !same($0.key, write.key) }
        var life: Duration?
        func expiry(_ expiry: Expiry) -> Duration? {
            switch expiry {
            case .never: return mutant == .neverMeansKeep ? old?.end : nil
            case .after(let given):
                life = given
                return endOfLife(given, client)
            case .keep:
                life = old?.life
                return mutant == .keepMeansNever ? nil : old?.end
            }
        }
        switch write {
        case .put(let key, let value, let expires, _):
            var version = given ?? nextVersion(client)
            if mutant == .versionsPerKey { version = (old?.version ?? 0) + 1 }
            let end = expiry(expires)
            let kept = Array(value.prefix(capabilities.maxValueBytes))
            state.entries = others + [Entry(key: key, value: kept, version: version, end: end, life: life)]
            return StoreVersion(rawValue: version)
        case .delete:
            if mutant == .deletedComeBack, let old { deleted.append(old) }
            state.entries = others
            return mutant == .deleteReturnsVersion ? old.map { StoreVersion(rawValue: $0.version) } : nil
        case .touch(_, let expires, _):
            guard var entry = old else { return nil }
            entry.end = expiry(expires)
            entry.life = life
            if mutant == .touchAddsToTheEnd, case .after(let more) = expires, let old = old?.end {
                entry.end = end(after: more, least: .zero, from: old)
            }
            if mutant == .touchMakesVersion { entry.version = nextVersion(client) }
            state.entries = others + [entry]
            return StoreVersion(rawValue: entry.version)
        case .check:
            return old.map { StoreVersion(rawValue: $0.version) }
        }
    }

    func update(
        _ updates: [(key: StoreKey, update: AtomicUpdate)],
        _ client: Client
    ) async throws(StoreError) -> UpdateResult {
        try checkCancellation()
        try checkKeys(updates.map(\.key))
        while mutant == .updatesLockApart, isUpdating { await Task.yield() }
        isUpdating = true
        defer { isUpdating = false }
        var instant = Int64(1_000_000_000_000_000_000 + now.attoseconds / 1_000_000_000)
        if mutant == .coarseClock { instant = instant / 100_000_000 * 100_000_000 }
        var decisions: [AtomicUpdate.Decision] = []
        var changes: [(StoreKey, [UInt8], Duration)] = []
        var repairs: [(StoreKey, [UInt8], Duration)] = []
        for (key, update) in updates {
            var old = live(key)?.value
            if mutant == .staleReplica, case .add(0, _, _) = update { old = stale[key] }
            var application = update.apply(to: old, now: instant)
            if mutant == .countersAreDoubles, case .add(let amount, let range, let expiry) = update {
                application = Self.applyInDoubles(amount, range, expiry, old, instant) ?? application
            }
            decisions.append(application.decision)
            if let value = application.value {
                changes.append((key, value, application.expiresAfter))
                if !application.decision.isAllowed { repairs.append((key, value, application.expiresAfter)) }
            }
            if mutant == .updatesThenWaits || mutant == .updatesLockApart { await Task.yield() }
        }
        let isApplied = decisions.allSatisfy(\.isAllowed)
        if !isApplied, mutant != .partlyUpdated { changes = repairs }
        try checkCapacity(changes.count { live($0.0) == nil })
        for (key, value, life) in changes {
            stale[key] = live(key)?.value
            cache[client.id]?[key] = nil
            let entry = Entry(
                key: key,
                value: value,
                version: nextVersion(client),
                end: endOfUpdate(life, client),
                life: life
            )
            state.entries = state.entries.filter { !same($0.key, key) } + [entry]
        }
        await endInASecondStep(changes.map(\.0))
        return UpdateResult(isApplied: isApplied, decisions: decisions)
    }

    /// Computes the counter with floating-point numbers.
    private static func applyInDoubles(
        _ amount: Int64,
        _ range: ClosedRange<Int64>,
        _ expiry: Duration,
        _ old: [UInt8]?,
        _ now: Int64
    ) -> AtomicUpdate.Application? {
        let present = AtomicUpdate.add(0, within: .min ... .max, expiry: expiry).apply(to: old, now: now)
        let count = Int64(exactly: Double(present.decision.remaining)) ?? .max
        let sum = Int64(exactly: Double(count) + Double(amount)) ?? .max
        let step = sum.subtractingReportingOverflow(present.decision.remaining)
        if step.overflow || !range.contains(sum) { return nil }
        return AtomicUpdate.add(step.partialValue, within: range, expiry: expiry).apply(to: old, now: now)
    }

    /// Writes in two steps: the entries have no end until other tasks have run.
    private func endInASecondStep(_ keys: [StoreKey]) async {
        guard mutant == .endsInASecondStep else { return }
        var ends: [(version: UInt64, end: Duration)] = []
        for position in state.entries.indices where keys.contains(state.entries[position].key) {
            guard let end = state.entries[position].end else { continue }
            ends.append((state.entries[position].version, end))
            state.entries[position].end = nil
        }
        await Task.yield()
        for (version, end) in ends {
            guard let position = state.entries.firstIndex(where: { $0.version == version }) else { continue }
            state.entries[position].end = end
        }
    }

    func scan(_ prefix: StoreKey, _ after: StoreKey?, _ limit: Int) throws(StoreError) -> StorePage {
        if limit < 1 { throw StoreError(.invalid, "") }
        let isScanned: (Entry) -> Bool = { entry in
            if self.mutant == .scanBySpace { return entry.key.encoded.prefix(4) == prefix.encoded.prefix(4) }
            return entry.key.hasPrefix(prefix)
        }
        let showsExpired = mutant == .scanShowsExpired || mutant == .filtersAfterTheLimit
        var found = state.entries.filter { isScanned($0) && (isLive($0) || showsExpired) }
        found.sort { $0.key < $1.key }
        if mutant == .offsets {
            found.removeFirst(min(found.count, after.flatMap { offsets[$0] } ?? 0))
        } else if let after {
            found = found.filter { mutant == .afterIncludes ? !($0.key < after) : after < $0.key }
        }
        let count = fetched(found.count, limit)
        let page = found.prefix(min(limit, count))
        let next = count > limit ? page.last?.key : nil
        if let next { offsets[next] = (after.flatMap { offsets[$0] } ?? 0) + page.count }
        var entries = page.compactMap { entry in reading(entry).map { (key: entry.key, entry: $0) } }
        if mutant == .scansWithoutExpiry {
            entries = entries.map {
                ($0.key, StoreEntry(value: $0.entry.value, version: $0.entry.version, remaining: nil))
            }
        }
        if mutant == .filtersAfterTheLimit {
            entries = entries.filter { key, _ in live(key) != nil }
            return StorePage(entries: entries, next: entries.count < limit ? nil : next)
        }
        return StorePage(entries: entries, next: next)
    }

    // MARK: Locks, which only a mutant needs

    /// Locks keys in the order of the caller and fails at a deadlock.
    private func lock(_ keys: [StoreKey]) async throws(StoreError) -> Int {
        guard mutant == .deadlocks else { return 0 }
        lastLocker += 1
        let locker = lastLocker
        for key in keys {
            while let holder = locks[key] {
                waits[locker] = key
                var next: Int? = holder
                while let other = next, other != locker { next = waits[other].flatMap { locks[$0] } }
                if next == locker {
                    unlock(locker)
                    throw StoreError(.unavailable, "deadlock detected")
                }
                await Task.yield()
            }
            waits[locker] = nil
            locks[key] = locker
            await Task.yield()
        }
        return locker
    }

    private func unlock(_ locker: Int) {
        waits[locker] = nil
        locks = locks.filter { $0.value != locker }
    }

    /// Excludes concurrent calls of this client only.
    func lock(_ client: Client) async {
        guard mutant == .locksPerClient else { return }
        while lockedClients.contains(client.id) { await Task.yield() }
        lockedClients.insert(client.id)
    }

    func unlock(_ client: Client) { lockedClients.remove(client.id) }

    // MARK: Limits

    func checkCancellation() throws(StoreError) {
        if Task.isCancelled, mutant != .cancelledTasksWrite { throw StoreError(.cancelled, "") }
    }

    private func checkKeys(_ keys: [StoreKey], isWrite: Bool = true) throws(StoreError) {
        if mutant == .noLimits { return }
        if keys.contains(where: { $0.byteCount > capabilities.maxKeyBytes }) { throw StoreError(.invalid, "") }
        if !isWrite { return }
        if Set(keys).count < keys.count, mutant != .keysTwice { throw StoreError(.invalid, "") }
        if keys.count > capabilities.maxWrites { throw StoreError(.invalid, "") }
    }

    func checkValue(_ value: [UInt8]) throws(StoreError) {
        let most = mutant == .limitTooSmall ? capabilities.maxValueBytes - 1 : capabilities.maxValueBytes
        if value.count > most, mutant != .noLimits, mutant != .valuesAreCut { throw StoreError(.invalid, "") }
    }

    private static let capacity = 450

    var isFull: Bool { state.entries.count + state.records.count >= Self.capacity }

    func checkCapacity(_ new: Int) throws(StoreError) {
        func room() -> Int { Self.capacity - state.entries.count - state.records.count }
        if new <= room() || new == 0 { return }
        if mutant != .expiredTakesRoom { state.entries.removeAll { !isLive($0) } }
        if new <= room() { return }
        switch mutant {
        case .evicts: state.entries.removeFirst(min(new, state.entries.count))
        case .recordsEvict: state.records.removeFirst(min(new, state.records.count))
        default: throw StoreError(.capacityExceeded, "")
        }
    }
}
