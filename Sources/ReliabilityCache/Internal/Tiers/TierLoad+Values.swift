internal import ReliabilityCore
internal import ReliabilityStore

extension TierLoad {
    /// The use of a value in the store.
    enum Judgement: Sendable {
        case fresh(Loaded<Held>)
        case stale(StaleValue<Value>)
        /// The value is not readable, is invalidated or does not meet the demand.
        case unusable
    }

    /// Decides whether a value of the store answers the load.
    func judge(_ entry: StoreEntry) async throws(StoreError) -> Judgement {
        // The age of the value begins before the call that read the tags.
        let now = tier.timeSource.now
        let record = CacheRecord(entry.value, schema: tier.coding.schema, key: place.bytes)
        guard let record, let remaining = entry.remaining, let value = try? tier.coding.decode(record.value) else {
            tier.state.withLock { $0.counters.unreadable &+= 1 }
            tier.events.emit(.unreadable(key))
            return .unusable
        }
        if case .after(let version)? = demand, record.start <= version { return .unusable }
        guard let tagsReadAt = try await validity(of: record) else { return .unusable }
        // A store may round the end of a life up by less than a millisecond.
        let left = remaining.saturatingNanoseconds.saturatingSubtract(record.staleTime).saturatingSubtract(1_000_000)
        if left <= 0 {
            return .stale(
                StaleValue(
                    value: value,
                    start: record.start,
                    version: record.version,
                    tags: Set(record.tags),
                    expiry: now.saturatingAdd(left)
                )
            )
        }
        tier.state.withLock { $0.counters.storeHits &+= 1 }
        // A copy lives no longer than the value, and no longer than the knowledge about its tags.
        let local = tier.configuration.localTimeToLive.saturatingNanoseconds
        let end = min(now.saturatingAdd(left), tagsReadAt.saturatingAdd(local), now.saturatingAdd(local))
        return .fresh(
            .value(
                Held(value, start: record.start),
                timeToLive: .nanoseconds(end.saturatingSubtract(began)),
                tags: Set(record.tags),
                version: record.version
            )
        )
    }

    /// Reads the records of the tags, unless the process has read them recently.
    ///
    /// - Returns: The time of the oldest record, or `nil` if a tag or everything was invalidated after the load.
    private func validity(of record: CacheRecord) async throws(StoreError) -> Int64? {
        let tags = [tier.keys.generation] + record.tags.map(tier.keys.tag)
        let readAt = tier.timeSource.now
        let maxAge = tier.configuration.localTimeToLive.saturatingNanoseconds / 2
        let (missing, epoch) = tier.state.withLock { state in
            (state.tags.missing(tags, now: readAt, maxAge: maxAge), state.tags.epoch)
        }
        let entries = missing.isEmpty ? [] : try await tier.get(missing)
        return tier.state.withLock { state in
            for (tag, entry) in zip(missing, entries) {
                state.tags.set(tag, entry?.version, readAt: readAt, since: epoch)
            }
            if tags.contains(where: { state.pending.blocks(.tag($0)) }) { return nil }
            let (isValid, oldest) = state.tags.check(tags, start: record.start, now: readAt)
            return isValid ? oldest : nil
        }
    }
}
