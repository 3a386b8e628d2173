internal import ReliabilityCore
internal import ReliabilityStore

/// The store of a tiered cache, with the loader of its memory.
final class StoreTier<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    /// The part that changes, which one lock protects.
    struct State: Sendable {
        var pending: PendingInvalidations
        var tags = KnownTags(capacity: 10_000)
        var counters = TieredCacheSnapshot()
    }

    let configuration: TieredCacheConfiguration
    let coding: CacheCoding<Key, Value>
    let keys: TierKeys
    let capabilities: StoreCapabilities
    let failureMode: StoreFailureMode
    let timeSource: TimeSource
    let randomness: RandomSource
    let events: EventSink<CacheEvent<Key>>
    let loader: @Sendable (Key, Value?) async throws -> Loaded<Value>
    let state: Lock<State>
    private let store: GuardedStore<any KeyValueStore>
    private let writer: SettlementWriter

    init(
        _ configuration: TieredCacheConfiguration,
        coding: CacheCoding<Key, Value>,
        keyspace: Keyspace,
        store: any KeyValueStore,
        storeFailure: StoreFailureMode,
        timeSource: TimeSource,
        randomness: RandomSource,
        events: EventSink<CacheEvent<Key>>,
        loader: @escaping @Sendable (Key, Value?) async throws -> Loaded<Value>
    ) {
        self.configuration = configuration
        self.coding = coding
        keys = TierKeys(keyspace: keyspace)
        capabilities = store.capabilities
        failureMode = storeFailure
        self.timeSource = timeSource
        self.randomness = randomness
        self.events = events
        self.loader = loader
        let pending = PendingInvalidations(
            limit: configuration.maxPendingInvalidations,
            generation: keys.generation
        )
        state = Lock(State(pending: pending))
        writer = SettlementWriter(timeSource: timeSource)
        self.store = GuardedStore(
            store,
            canStall: capabilities.canStall,
            timeout: storeFailure.timeout,
            timeSource: timeSource,
            events: events
        )
    }

    // MARK: Store

    /// Makes writes in one step.
    func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        try await store.write { store throws(StoreError) in try await store.commit(writes) }
    }

    /// Reads entries.
    func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        let entries = try await store.read { store throws(StoreError) in try await store.get(keys) }
        guard entries.count == keys.count else {
            throw StoreError(.failed, "the store returned \(entries.count) entries for \(keys.count) keys")
        }
        return entries
    }

    // MARK: Invalidation

    /// Adds invalidations before their write.
    ///
    /// - Parameters:
    ///   - targets: The targets.
    ///   - isFailed: `true` if the write has failed already.
    /// - Returns: The invalidations.
    func begin(_ targets: [InvalidationTarget], isFailed: Bool = false) -> [PendingInvalidations.Item] {
        state.withLock { state in targets.map { state.pending.begin($0, isFailed: isFailed) } }
    }

    /// Writes invalidations.
    ///
    /// - Returns: The mark, which is not confirmed if the write failed. The cache then repeats the write.
    func write(_ items: [PendingInvalidations.Item]) async -> CacheMark {
        do throws(StoreError) {
            let version = try await confirm(items)
            // A full list, or an earlier permanent error, has left writes that no task repeats.
            if state.withLock({ $0.pending.isRepetitionDue }) { repeatFailedWrites() }
            return CacheMark(version)
        } catch {
            state.withLock { $0.pending.fail(items) }
            repeatFailedWrites()
            return CacheMark(nil)
        }
    }

    /// Writes invalidations in one commit and records the confirmation.
    ///
    /// - Returns: The highest version.
    private func confirm(_ items: [PendingInvalidations.Item]) async throws(StoreError) -> StoreVersion {
        let readAt = timeSource.now
        let result = try await commit(writes(of: items.map(\.target)))
        guard case .committed(let versions) = result, let last = versions.compactMap({ $0 }).max() else {
            throw StoreError(.failed, "the store rejected a write without a condition")
        }
        let isLast = state.withLock { state in
            for item in items {
                if case .tag(let key) = item.target { state.tags.set(key, last, readAt: readAt) }
                if case .all(let key) = item.target { state.tags.set(key, last, readAt: readAt) }
            }
            return state.pending.confirm(items) && state.counters.pendingInvalidations > 0
        }
        if isLast {
            state.withLock { $0.counters.pendingInvalidations = 0 }
            events.emit(.invalidationsConfirmed)
        }
        return last
    }

    /// Returns the writes of invalidations.
    func writes(of targets: [InvalidationTarget]) -> [StoreWrite] {
        targets.flatMap {
            $0.writes(lease: configuration.lease, tagLife: .nanoseconds(configuration.tagLife))
        }
    }

    /// Starts the task that repeats the writes of failed invalidations until the store has confirmed all of them.
    func repeatFailedWrites() {
        let count = state.withLock { state -> Int? in
            state.counters.pendingInvalidations = state.pending.count
            return state.pending.startRepeating() ? state.pending.count : nil
        }
        guard let count else { return }
        events.emit(.invalidationPending(count: count))
        writer.startWriting(
            (),
            attempt: { [self] _ async throws(StoreError) in
                while true {
                    let items = state.withLock { $0.pending.nextItems(maxWrites: capabilities.maxWrites) }
                    if items.isEmpty { return }
                    _ = try await confirm(items)
                }
            },
            ended: { [self] result in
                // After a permanent error, the next invalidation tries again.
                if case .failure = result { state.withLock { $0.pending.stopRepeating() } }
            }
        )
    }
}
