internal import ReliabilityCore
public import ReliabilityStore

/// A cache in memory over a store that several processes share.
///
/// ```swift
/// let coding = CacheCoding<String, Int>(
///     schema: 1,
///     key: { item in [item] },
///     encode: { quote in Array(try JSONEncoder().encode(quote)) },
///     decode: { bytes in try JSONDecoder().decode(Int.self, from: Data(bytes)) }
/// )
/// let shared = TieredCache<String, Int>(
///     .expiring(after: .seconds(300)),
///     coding: coding,
///     keyspace: "quotes",
///     store: store,
///     storeFailure: .failOpen(timeout: .seconds(2))
/// ) { item in
///     try await gateway.quote(item)
/// }
/// let quote = try await shared.value(for: item)
/// ```
///
/// - A key has one load at a time in all processes. The store decides by a lease, and a process that ends during a load
///   delays the others by ``TieredCacheConfiguration/lease`` at most.
/// - A value is written to the store only if nothing has happened to the key since its load began.
/// - When ``invalidate(_:)`` has returned, no later call of this process receives a value of an earlier load. In other
///   processes, the same holds for loads, for reads with the mark, and for all reads after
///   ``TieredCacheConfiguration/localTimeToLive``.
/// - An invalidation that the store has not confirmed is repeated. Until then, this process reads the value from the
///   source.
/// - A store that is down means misses. A call waits for such a store at most once, and the loads remain within
///   ``CacheConfiguration/maxConcurrentLoads``.
/// - Stale values come from the store, which knows the invalidations of all processes.
///
/// The memory is a ``LoadingCache`` and has all of its guarantees.
public final class TieredCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    /// The configuration.
    public let configuration: TieredCacheConfiguration
    @usableFromInline let local: LoadingCache<Key, HeldValue<Value>>
    let tier: StoreTier<Key, Value>

    /// Creates a cache with a loader that returns values.
    ///
    /// - Parameters:
    ///   - configuration: The lifetimes and the bounds.
    ///   - coding: The form of keys and values in the store.
    ///   - keyspace: The keyspace in the store. No other part may use the keyspace.
    ///   - store: The store.
    ///   - storeFailure: The mode `failOpen`, which loads from the source while the store is down, or `failClosed`.
    ///   - clock: The clock that measures the time. Defaults to `ContinuousClock`.
    ///   - randomness: The source of randomness for jitter and early refreshes. Defaults to `SystemRandomNumberGenerator`.
    ///   - observer: Receives the loads, the removals and the failures of the store.
    ///   - load: Loads the value of a key from the source.
    /// - Precondition: As for the other initializer.
    public convenience init(
        _ configuration: TieredCacheConfiguration,
        coding: CacheCoding<Key, Value>,
        keyspace: Keyspace,
        store: any KeyValueStore,
        storeFailure: StoreFailureMode,
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (CacheEvent<Key>) -> Void)? = nil,
        load: @escaping @Sendable (Key) async throws -> Value
    ) {
        self.init(
            configuration,
            coding: coding,
            keyspace: keyspace,
            store: store,
            storeFailure: storeFailure,
            clock: clock,
            randomness: randomness,
            observer: observer
        ) { key, _ in .value(try await load(key)) }
    }

    /// Creates a cache with a loader that decides about lifetimes, tags and versions.
    ///
    /// - Parameters:
    ///   - configuration: The lifetimes and the bounds.
    ///   - coding: The form of keys and values in the store.
    ///   - keyspace: The keyspace in the store. No other part may use the keyspace.
    ///   - store: The store.
    ///   - storeFailure: The mode `failOpen`, which loads from the source while the store is down, or `failClosed`.
    ///   - cost: Returns the bytes of a key and its value in the memory, as for ``LoadingCache``. Defaults to 0.
    ///   - rememberingFailure: Returns the time for which reads of this process receive the error of a load, as for
    ///     ``LoadingCache``. Defaults to no error.
    ///   - clock: The clock that measures the time. Defaults to `ContinuousClock`.
    ///   - randomness: The source of randomness for jitter and early refreshes. Defaults to `SystemRandomNumberGenerator`.
    ///   - observer: Receives the loads, the removals and the failures of the store.
    ///   - load: Loads the value of a key from the source. The second argument is the stale value, or `nil` if there is
    ///     none.
    /// - Precondition: `configuration` and `storeFailure` are valid, and `storeFailure` is no local fallback. A store that
    ///   loses writes on a failover does not accept marks.
    public init(
        _ configuration: TieredCacheConfiguration,
        coding: CacheCoding<Key, Value>,
        keyspace: Keyspace,
        store: any KeyValueStore,
        storeFailure: StoreFailureMode,
        cost: @escaping @Sendable (Key, Value) -> Int = { _, _ in 0 },
        rememberingFailure: @escaping @Sendable (any Error) -> Duration? = { _ in nil },
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (CacheEvent<Key>) -> Void)? = nil,
        load: @escaping @Sendable (Key, Value?) async throws -> Loaded<Value>
    ) {
        requireValid(configuration.validate)
        requireValid(storeFailure.validate)
        requireValid(
            storeFailure.action == .failOpen || storeFailure.action == .failClosed,
            "storeFailure of the cache of \(keyspace) must be failOpen or failClosed (is \(storeFailure.action))"
        )
        requireValid(
            !configuration.acceptsMarks || !store.capabilities.losesWritesOnFailover,
            "acceptsMarks of the cache of \(keyspace) must be false: the store can lose writes on a failover (is true)"
        )
        self.configuration = configuration
        let events = EventSink<CacheEvent<Key>>(observer)
        let tier = StoreTier(
            configuration,
            coding: coding,
            keyspace: keyspace,
            store: store,
            storeFailure: storeFailure,
            timeSource: TimeSource(clock),
            randomness: RandomSource(randomness),
            events: events,
            loader: load
        )
        self.tier = tier
        var localObserver: (@Sendable (CacheEvent<Key>) -> Void)?
        if observer != nil { localObserver = { events.emit($0) } }
        local = LoadingCache<Key, HeldValue<Value>>(
            configuration.local,
            cost: { cost($0, $1.value) },
            rememberingFailure: rememberingFailure,
            clock: clock,
            randomness: randomness,
            observer: localObserver
        ) { key, _ in
            try await TierLoad(tier, key, demand: ReadDemand.current).run()
        }
    }

    /// The content and the counters at this moment.
    public var snapshot: TieredCacheSnapshot {
        var snapshot = tier.state.withLock { state in
            var counters = state.counters
            counters.pendingInvalidations = state.pending.count
            return counters
        }
        snapshot.memory = local.snapshot
        return snapshot
    }

    // MARK: Reading

    /// Returns the value of a key from the memory, the store or the source.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - freshness: The freshness that the caller needs. Defaults to ``CacheRead/any``.
    /// - Returns: The value.
    /// - Throws: ``CacheError`` if the load did not begin or did not end in time, or if the store is down and the mode is
    ///   `failClosed`. `CancellationError` if the task is cancelled during the wait. Otherwise the error of the loader, or
    ///   a remembered error.
    @inlinable
    nonisolated(nonsending) public func value(for key: Key, _ freshness: CacheRead = .any) async throws -> Value {
        guard case .any = freshness else { return try await demandedValue(for: key, freshness) }
        let held = try await local.value(for: key)
        if let ticket = held.refresh { refresh(key, ticket) }
        return held.value
    }

    /// Returns the value of a key in the memory, or `nil` if there is none.
    ///
    /// The method asks neither the store nor the source, counts no read and is no use of the entry.
    ///
    /// - Parameter key: The key.
    /// - Returns: The value.
    public func cached(_ key: Key) -> Value? { local.cached(key)?.value }

    // MARK: Writing

    /// Invalidates the value of a key in all processes.
    ///
    /// Call the method after the write to the source. No call of this process that begins after the return receives a
    /// value of a load that began before the call. The memory of this process is invalidated before the first suspension.
    ///
    /// - Parameter key: The key.
    /// - Returns: The mark of the invalidation, which is not confirmed if the store is down. The cache then repeats the
    ///   write, also after a cancellation.
    @discardableResult
    nonisolated(nonsending) public func invalidate(_ key: Key) async -> CacheMark {
        let items = tier.begin([target(key)])
        local.invalidate(key)
        return await tier.write(items)
    }

    /// Invalidates every value with a tag in all processes.
    ///
    /// The guarantee is the guarantee of ``invalidate(_:)``. The method makes one write for any number of values.
    ///
    /// - Parameter tag: The tag.
    /// - Returns: The mark of the invalidation.
    @discardableResult
    nonisolated(nonsending) public func invalidate(tag: String) async -> CacheMark {
        let items = tier.begin([.tag(tier.keys.tag(tag))])
        local.invalidate(tag: tag)
        return await tier.write(items)
    }

    /// Invalidates every value of the keyspace in all processes.
    ///
    /// The guarantee is the guarantee of ``invalidate(_:)``. The method makes one write.
    ///
    /// - Returns: The mark of the invalidation.
    @discardableResult
    nonisolated(nonsending) public func invalidateAll() async -> CacheMark {
        let items = tier.begin([.all(tier.keys.generation)])
        local.invalidateAll()
        return await tier.write(items)
    }
}
