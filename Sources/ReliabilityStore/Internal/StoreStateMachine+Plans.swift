/// The plans of calls.
extension StoreStateMachine {
    package mutating func planCommit(_ writes: [StoreWrite]) throws(StoreError) -> StorePlan<CommitResult> {
        try capabilities.checkCommit(writes, [])
        return try planWithinLimits { state in state.planWrites(writes) }
    }

    package mutating func planCommit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) throws(StoreError) -> StorePlan<RecordCommitResult> {
        try capabilities.checkCommit(writes, records)
        return try planWithinLimits { state in
            let (written, writtenDelta) = state.planWrites(writes)
            switch written.result {
            case .conflict(let index, let current):
                return (StorePlan(result: .conflict(index: index, current: current), mutations: []), StoreDelta())
            case .committed(let versions):
                var version = state.nextVersion + UInt64(writes.count { $0.isPut })
                let (added, delta) = state.content.records.planEnqueue(records, version: &version, at: state.now)
                if let taken = added.result.firstTaken {
                    return (StorePlan(result: .taken(index: taken.index, by: taken.state), mutations: []), StoreDelta())
                }
                let result = RecordCommitResult.committed(versions, records: added.result)
                let mutations = written.mutations + added.mutations
                return (StorePlan(result: result, mutations: mutations), writtenDelta + delta)
            }
        }
    }

    private func planWrites(_ writes: [StoreWrite]) -> (StorePlan<CommitResult>, StoreDelta) {
        var version = nextVersion
        var versions: [StoreVersion?] = []
        var mutations: [StoreMutation] = []
        var delta = StoreDelta()
        versions.reserveCapacity(writes.count)
        mutations.reserveCapacity(writes.count)
        for (index, write) in writes.enumerated() {
            let step = write.key.withKeyBytes { content.entries.evaluate(write, $0, at: now) }
            guard step.holds else {
                let current = step.current?.entry(at: now)
                return (StorePlan(result: .conflict(index: index, current: current), mutations: []), StoreDelta())
            }
            let change = content.entries.mutation(write, step, version: version, at: now)
            if let mutation = change.mutation { mutations.append(mutation) }
            if case .put = write { version += 1 }
            versions.append(change.version)
            delta += step.delta
        }
        return (StorePlan(result: .committed(versions), mutations: mutations), delta)
    }

    /// Plans a single write.
    package mutating func plan(_ write: StoreWrite) throws(StoreError) -> EntryPlan<WriteResult> {
        try capabilities.check(write)
        makeUnique()
        return try planWithinLimits { state in
            let step = write.key.withKeyBytes { state.content.entries.evaluate(write, $0, at: state.now) }
            guard step.holds else {
                let result = WriteResult.conflict(step.current?.entry(at: state.now))
                return (EntryPlan(result: result, change: nil), StoreDelta())
            }
            let (mutation, version) = state.content.entries.mutation(
                write,
                step,
                version: state.nextVersion,
                at: state.now
            )
            let change = mutation.map { EntryChange(mutation: $0, place: step.place) }
            return (EntryPlan(result: WriteResult.committed(version), change: change), step.delta)
        }
    }

    /// Plans a single update.
    package mutating func plan(
        _ key: StoreKey,
        _ update: AtomicUpdate
    ) throws(StoreError) -> EntryPlan<AtomicUpdate.Decision> {
        try capabilities.check(key)
        makeUnique()
        return try planWithinLimits { state in
            let step = key.withKeyBytes { state.content.entries.evaluate(update, $0, at: state.now) }
            let decision = step.effect.decision
            let change = state.mutation(key, update, step, version: state.nextVersion)
                .map { EntryChange(mutation: $0, place: step.place) }
            // A repair replaces a value of the same length, so a repair needs no room.
            let delta = decision.isAllowed ? step.delta : StoreDelta()
            return (EntryPlan(result: decision, change: change), delta)
        }
    }

    /// Returns the mutation of an evaluated update, or `nil` if nothing changes.
    private func mutation(
        _ key: StoreKey,
        _ update: AtomicUpdate,
        _ step: EntryIndex.UpdateStep,
        version: UInt64
    ) -> StoreMutation? {
        guard let counter = step.effect.counter else { return nil }
        let expiresAt = unixMilliseconds(after: step.effect.expiresAfter, from: now)
        return .put(key, StoredEntry(value: counter.value(tag: update.tag), version: version, expiresAt: expiresAt))
    }

    package mutating func planUpdate(
        _ updates: [(key: StoreKey, update: AtomicUpdate)]
    ) throws(StoreError) -> StorePlan<UpdateResult> {
        try capabilities.checkUpdates(updates)
        return try planWithinLimits { state in
            var mutations: [StoreMutation] = []
            var repairs: [StoreMutation] = []
            var decisions: [AtomicUpdate.Decision] = []
            var delta = StoreDelta()
            for (key, update) in updates {
                let step = key.withKeyBytes { state.content.entries.evaluate(update, $0, at: state.now) }
                decisions.append(step.effect.decision)
                // Either the updates or the repairs are made.
                let count = step.effect.decision.isAllowed ? mutations.count : repairs.count
                let version = state.nextVersion + UInt64(count)
                guard let mutation = state.mutation(key, update, step, version: version) else { continue }
                if step.effect.decision.isAllowed {
                    mutations.append(mutation)
                    delta += step.delta
                } else {
                    repairs.append(mutation)
                }
            }
            let isApplied = decisions.allSatisfy(\.isAllowed)
            let result = UpdateResult(isApplied: isApplied, decisions: decisions)
            // A repair replaces a value of the same length, so a repair needs no room.
            if !isApplied { return (StorePlan(result: result, mutations: repairs), StoreDelta()) }
            return (StorePlan(result: result, mutations: mutations), delta)
        }
    }

    // MARK: Records

    package mutating func planEnqueue(_ records: [NewRecord]) throws(StoreError) -> StorePlan<[EnqueueResult]> {
        try capabilities.checkEnqueue(records)
        return try planWithinLimits { state in
            var version = state.nextVersion
            return state.content.records.planEnqueue(records, version: &version, at: state.now)
        }
    }

    package mutating func planClaim(
        _ queue: QueueName,
        limit: Int,
        lease: Duration
    ) throws(StoreError) -> StorePlan<[RecordClaim]> {
        try capabilities.checkClaim(queue, limit: limit, lease: lease)
        let limit = min(limit, capabilities.maxWrites)
        var version = nextVersion
        return content.records.planClaim(queue, limit: limit, lease: lease, version: &version, at: now)
    }

    package mutating func planSettle(_ settlements: [Settlement]) throws(StoreError) -> StorePlan<[SettleResult]> {
        try capabilities.checkSettlements(settlements)
        var version = nextVersion
        return content.records.planSettle(settlements, version: &version, at: now)
    }

    package func nextDue(_ queue: QueueName) throws(StoreError) -> Duration? {
        try capabilities.check(queue)
        return content.records.nextDue(queue).map { .untilUnixMilliseconds($0, from: now) }
    }

    package func counts(_ queue: QueueName) throws(StoreError) -> RecordCounts {
        try capabilities.check(queue)
        return content.records.counts(queue)
    }

    package func page(
        _ queue: QueueName,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) throws(StoreError) -> RecordPage {
        try capabilities.check(queue)
        try capabilities.checkPositive(limit, "limit")
        return content.records.page(queue, state, after: after, limit: limit, at: now)
    }

    // MARK: Capacity

    /// Makes a plan that fits into the limits, and reclaims expired entries until the plan fits.
    ///
    /// - Parameter makePlan: Makes the plan and returns its size. The closure runs again after entries were reclaimed,
    ///   because the plan may replace a reclaimed entry.
    /// - Returns: The plan.
    /// - Throws: `StoreError` if there is no room.
    private mutating func planWithinLimits<Plan>(
        _ makePlan: (Self) -> (Plan, StoreDelta)
    ) throws(StoreError) -> Plan {
        while true {
            let (plan, delta) = makePlan(self)
            if limits.allow(content.size, adding: delta) { return plan }
            if reclaim(atMost: 64) == 0 { throw limits.exceeded(by: content.size) }
        }
    }
}

extension StoreLimits {
    /// Returns a Boolean value that indicates whether a store of a size has room.
    ///
    /// A change that needs no more room than before is always allowed.
    func allow(_ size: StoreDelta, adding delta: StoreDelta) -> Bool {
        (delta.items <= 0 || size.items + delta.items <= maxEntries)
            && (delta.bytes <= 0 || size.bytes + delta.bytes <= maxBytes)
    }

    func exceeded(by size: StoreDelta) -> StoreError {
        StoreError(
            .capacityExceeded,
            "the store has no room: it holds \(size.items) of at most \(maxEntries) entries and records in "
                + "\(size.bytes) of at most \(maxBytes) bytes"
        )
    }
}

extension [EnqueueResult] {
    /// The first record whose identity belongs to another record.
    var firstTaken: (index: Int, state: RecordState)? {
        for (index, result) in enumerated() {
            if case .taken(let state) = result { return (index, state) }
        }
        return nil
    }
}
