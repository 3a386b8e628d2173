internal import ReliabilityCore

/// The calls of an `InMemoryStore`.
extension MemoryShards {
    // MARK: Entries

    func get(_ keys: [StoreKey], at now: Int64) throws(StoreError) -> [StoreEntry?] {
        try withLocks(mask(of: keys), at: now) { now in
            keys.map { self.shard(of: $0).state.index.live($0, at: now)?.entry(at: now) }
        }
    }

    func get(_ key: StoreKey, at now: Int64) -> StoreEntry? {
        shard(of: key).withLock { shard in
            let now = shard.advance(to: now, capacity)
            return shard.index.live(key, at: now)?.entry(at: now)
        }
    }

    func commit(_ writes: [StoreWrite], at now: Int64) throws(StoreError) -> CommitResult {
        if writes.count == 1, let write = writes.first { return CommitResult(try commit(write, at: now)) }
        return try change(mask(of: writes.lazy.map(\.key)), at: now) { now in commit(writes, lockedAt: now) }
    }

    func commit(_ write: StoreWrite, at now: Int64) throws(StoreError) -> WriteResult {
        let shard = self.shard(of: write.key)
        let result = shard.withLock { shard in
            let now = shard.advance(to: now, capacity)
            return commit(write, in: &shard, lockedAt: now)
        }
        if case .committed(let version?) = result {
            reclaimElsewhere(after: version.rawValue, at: now)
        }
        if let result { return result }
        return try changeWithReclaim(at: now) { now in
            shard.access { commit(write, in: &$0, lockedAt: now) }
        }
    }

    /// Makes a write with its shard locked, or returns `nil` if there is no room.
    private func commit(_ write: StoreWrite, in shard: inout EntryShard.State, lockedAt now: Int64) -> WriteResult? {
        write.key.withKeyBytes { key in
            let step = shard.index.evaluate(write, key, at: now)
            guard step.holds else { return .conflict(step.current?.entry(at: now)) }
            guard capacity.reserve(step.delta) else { return nil }
            let version = write.isPut ? capacity.takeVersions() : 0
            return .committed(shard.index.perform(write, key, step, version: version, at: now))
        }
    }

    /// Plans and makes a write of one entry in one step.
    ///
    /// - Parameters:
    ///   - key: The key of the entry.
    ///   - now: The time of the call.
    ///   - plan: Takes the value of the entry and the time, and returns a write without a condition or no write. A
    ///     write without room is planned a second time.
    /// - Returns: The result of the plan.
    /// - Throws: `StoreError` if there is no room.
    func change<Result: Sendable>(
        _ key: StoreKey,
        at now: Int64,
        _ plan: (_ value: [UInt8]?, _ now: Int64) -> (write: StoreWrite?, result: Result)
    ) throws(StoreError) -> Result {
        func change(_ shard: inout EntryShard.State, _ now: Int64) -> Result? {
            let (write, result) = plan(shard.index.live(key, at: now)?.entry(at: now).value, now)
            guard let write else { return result }
            return commit(write, in: &shard, lockedAt: now) == nil ? nil : result
        }
        let shard = self.shard(of: key)
        let result = shard.withLock { shard in change(&shard, shard.advance(to: now, capacity)) }
        if let result { return result }
        return try changeWithReclaim(at: now) { now in shard.access { change(&$0, now) } }
    }

    /// Makes writes with their shards locked, or returns `nil` if there is no room.
    private func commit(_ writes: [StoreWrite], lockedAt now: Int64) -> CommitResult? {
        let (delta, conflict) = evaluate(writes, at: now)
        if let conflict { return .conflict(index: conflict.index, current: conflict.current) }
        guard capacity.reserve(delta) else { return nil }
        return .committed(perform(writes, at: now))
    }

    /// Returns the size of writes and the first write with a false condition.
    private func evaluate(
        _ writes: [StoreWrite],
        at now: Int64
    ) -> (delta: StoreDelta, conflict: (index: Int, current: StoreEntry?)?) {
        var delta = StoreDelta()
        for (index, write) in writes.enumerated() {
            let step = write.key.withKeyBytes { self.shard(of: write.key).state.index.evaluate(write, $0, at: now) }
            if !step.holds { return (delta, (index, step.current?.entry(at: now))) }
            delta += step.delta
        }
        return (delta, nil)
    }

    private func perform(_ writes: [StoreWrite], at now: Int64) -> [StoreVersion?] {
        writes.map { write in
            self.shard(of: write.key).access { shard in
                write.key.withKeyBytes { key in
                    let step = shard.index.evaluate(write, key, at: now)
                    let version = write.isPut ? capacity.takeVersions() : 0
                    return shard.index.perform(write, key, step, version: version, at: now)
                }
            }
        }
    }

    func update(
        _ updates: [(key: StoreKey, update: AtomicUpdate)],
        at now: Int64
    ) throws(StoreError) -> UpdateResult {
        if updates.count == 1, let (key, update) = updates.first {
            return UpdateResult(try self.update(key, update, at: now))
        }
        return try change(mask(of: updates.lazy.map(\.key)), at: now) { now in self.update(updates, lockedAt: now) }
    }

    func update(
        _ key: StoreKey,
        _ update: AtomicUpdate,
        at now: Int64
    ) throws(StoreError) -> AtomicUpdate.Decision {
        let shard = self.shard(of: key)
        let result = shard.withLock { shard in
            let now = shard.advance(to: now, capacity)
            return self.update(key, update, in: &shard, lockedAt: now)
        }
        if let (decision, version) = result {
            reclaimElsewhere(after: version, at: now)
            return decision
        }
        return try changeWithReclaim(at: now) { now in
            shard.access { self.update(key, update, in: &$0, lockedAt: now)?.decision }
        }
    }

    /// Makes an update with its shard locked, or returns `nil` if there is no room.
    private func update(
        _ key: StoreKey,
        _ update: AtomicUpdate,
        in shard: inout EntryShard.State,
        lockedAt now: Int64
    ) -> (decision: AtomicUpdate.Decision, version: UInt64)? {
        key.withKeyBytes { key in
            let step = shard.index.evaluate(update, key, at: now)
            guard capacity.reserve(step.delta) else { return nil }
            let decision = step.effect.decision
            let version = step.effect.counter == nil ? 1 : capacity.takeVersions()
            shard.index.perform(update, key, step, version: version, at: now)
            return (decision, version)
        }
    }

    /// Makes updates with their shards locked, or returns `nil` if there is no room.
    private func update(_ updates: [(key: StoreKey, update: AtomicUpdate)], lockedAt now: Int64) -> UpdateResult? {
        var decisions: [AtomicUpdate.Decision] = []
        var delta = StoreDelta()
        for (key, update) in updates {
            let step = key.withKeyBytes { self.shard(of: key).state.index.evaluate(update, $0, at: now) }
            decisions.append(step.effect.decision)
            delta += step.delta
        }
        let isApplied = decisions.allSatisfy(\.isAllowed)
        // A repair replaces a value of the same length, so a repair needs no room.
        if isApplied, !capacity.reserve(delta) { return nil }
        for ((key, update), decision) in zip(updates, decisions) where decision.isAllowed == isApplied {
            self.shard(of: key).access { shard in
                key.withKeyBytes { key in
                    let step = shard.index.evaluate(update, key, at: now)
                    if step.effect.counter == nil { return }
                    shard.index.perform(update, key, step, version: capacity.takeVersions(), at: now)
                }
            }
        }
        return UpdateResult(isApplied: isApplied, decisions: decisions)
    }

    func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int, at now: Int64) throws(StoreError) -> StorePage {
        try withLocks(Self.entriesMask, at: now) { now in
            var page = PageBuilder(limit: limit, now: now)
            prefix.withKeyBytes { prefix in
                PageBuilder.withStart(after: after, prefix: prefix) { start, afterEqual in
                    var merge = ShardMerge(entries, from: start, afterEqual: afterEqual)
                    while let item = merge.item, page.add(item, prefix: prefix) { merge.advance() }
                }
            }
            return page.page
        }
    }

    // MARK: Records

    func commit(
        _ writes: [StoreWrite],
        enqueueing new: [NewRecord],
        at now: Int64
    ) throws(StoreError) -> RecordCommitResult {
        let mask = self.mask(of: writes.lazy.map(\.key)) | Self.recordsMask
        return try change(mask, at: now) { now in
            let (writtenDelta, conflict) = evaluate(writes, at: now)
            if let conflict { return .conflict(index: conflict.index, current: conflict.current) }
            var versions = PlannedVersions()
            let (plan, delta) = records.index.planEnqueue(new, version: &versions.next, at: now)
            if let taken = plan.result.firstTaken { return .taken(index: taken.index, by: taken.state) }
            guard capacity.reserve(writtenDelta + delta) else { return nil }
            let written = perform(writes, at: now)
            versions.issue(from: capacity)
            records.apply(plan.mutations, versions)
            return .committed(written, records: plan.result)
        }
    }

    func enqueue(_ new: [NewRecord], at now: Int64) throws(StoreError) -> [EnqueueResult] {
        try change(Self.recordsMask, at: now) { now in
            var versions = PlannedVersions()
            let (plan, delta) = records.index.planEnqueue(new, version: &versions.next, at: now)
            guard capacity.reserve(delta) else { return nil }
            versions.issue(from: capacity)
            records.apply(plan.mutations, versions)
            return plan.result
        }
    }

    /// Makes a planned change of records, which needs no room.
    ///
    /// - Parameters:
    ///   - now: The time of the call.
    ///   - plan: Plans the change with the first planned version and the time.
    ///   - issue: Replaces the planned versions in the result.
    /// - Returns: The result of the plan.
    /// - Throws: `StoreError`.
    func changeRecords<Result: Sendable>(
        at now: Int64,
        _ plan: (inout UInt64, Int64) -> StorePlan<Result>,
        issue: (Result, PlannedVersions) -> Result = { result, _ in result }
    ) throws(StoreError) -> Result {
        try withLocks(Self.recordsMask, at: now) { now in
            var versions = PlannedVersions()
            let plan = plan(&versions.next, now)
            versions.issue(from: capacity)
            let before = records.index.size
            records.apply(plan.mutations, versions)
            capacity.add(records.index.size - before)
            return issue(plan.result, versions)
        }
    }

    func readRecords<Result: Sendable>(
        at now: Int64,
        _ read: (borrowing RecordIndex, Int64) -> Result
    ) throws(StoreError) -> Result {
        try withLocks(Self.recordsMask, at: now) { now in read(records.index, now) }
    }

    func usage(at now: Int64) -> StoreUsage {
        let size: (entries: Int, records: Int, bytes: Int)? = try? withLocks(Self.all, at: now) { _ in
            let entries = entries.reduce(0) { $0 + $1.state.index.count }
            return (entries, records.index.count, capacity.size.bytes)
        }
        return StoreUsage(
            entries: size?.entries ?? 0,
            records: size?.records ?? 0,
            bytes: size?.bytes ?? 0,
            maxEntries: capacity.limits.maxEntries,
            maxBytes: capacity.limits.maxBytes
        )
    }
}

extension StoreWrite {
    /// A Boolean value that indicates whether the write issues a version.
    package var isPut: Bool {
        if case .put = self { return true }
        return false
    }
}
