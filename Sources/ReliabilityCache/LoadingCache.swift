public import ReliabilityCore

/// A cache in memory that loads a missing value once for all calls that need the value.
///
/// ```swift
/// let quotes = LoadingCache<String, Int>(.expiring(after: .seconds(300))) { item in
///     try await gateway.quote(item)
/// }
/// let quote = try await quotes.value(for: item)
/// ```
///
/// - A key has one load at a time. Every call that needs the value meanwhile joins the load and receives its value or
///   its error.
/// - A call leaves when its task is cancelled or its deadline passes. The load continues for the other calls, and is
///   cancelled when every call has left.
/// - When ``invalidate(_:)`` has returned, no later call receives a value of an earlier load. Such a load still
///   answers the calls that had joined. Its value is not stored.
/// - The costs of all entries never exceed ``CacheConfiguration/maxCost``.
/// - At most ``CacheConfiguration/maxConcurrentLoads`` loads run at the same time, with loads that ignore their
///   cancellation.
/// - A stale value is served only if the configuration allows it, and never after an invalidation.
/// - The loader, the cost and the observer run outside of every lock.
///
/// The loader runs in a task of its own. It has the task-local values of the call that started the load, and a deadline
/// after ``CacheConfiguration/loadTimeout``. Put the policies of the source, such as a retry, inside of the loader.
public final class LoadingCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    let loader: @Sendable (Key, Value?) async throws -> Loaded<Value>
    let cost: @Sendable (Key, Value) -> Int
    let rememberingFailure: @Sendable (any Error) -> Duration?
    @usableFromInline let timeSource: TimeSource
    let randomness: RandomSource
    let events: EventSink<CacheEvent<Key>>
    let places: LoadPlaces
    @usableFromInline let state: Lock<CacheState<Key, Value>>

    /// Creates an empty cache with a loader that returns values.
    ///
    /// - Parameters:
    ///   - configuration: The lifetimes, the bounds and the limits of loads.
    ///   - clock: The clock that measures the time. Defaults to `ContinuousClock`.
    ///   - randomness: The source of randomness for jitter and early refreshes. Defaults to `SystemRandomNumberGenerator`.
    ///   - observer: Receives the loads and the removals.
    ///   - load: Loads the value of a key.
    /// - Precondition: The configuration is valid. See ``CacheConfiguration/validate()``.
    public convenience init(
        _ configuration: CacheConfiguration,
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (CacheEvent<Key>) -> Void)? = nil,
        load: @escaping @Sendable (Key) async throws -> Value
    ) {
        self.init(configuration, clock: clock, randomness: randomness, observer: observer) { key, _ in
            .value(try await load(key))
        }
    }

    /// Creates an empty cache with a loader that decides about lifetimes, tags and versions.
    ///
    /// ```swift
    /// let rates = LoadingCache<String, [Int]>(
    ///     CacheConfiguration(timeToLive: .seconds(60), staleIfError: .seconds(3600)),
    ///     cost: { _, rates in rates.count * 8 }
    /// ) { currency, stale in
    ///     .value(try await bank.rates(), timeToLive: .seconds(30), tags: ["bank"])
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - configuration: The lifetimes, the bounds and the limits of loads.
    ///   - cost: Returns the bytes of a key and its value. A negative number counts as 0. The cache calls the closure
    ///     once for each value and adds its overhead for an entry. Defaults to 0.
    ///   - rememberingFailure: Returns the time for which reads receive the error of a load, or `nil` for an error that
    ///     is not remembered. The time is at most the lifetime. A rejection and the error of a cancelled load are never
    ///     remembered. Defaults to no error.
    ///   - clock: The clock that measures the time. Defaults to `ContinuousClock`.
    ///   - randomness: The source of randomness for jitter and early refreshes. Defaults to `SystemRandomNumberGenerator`.
    ///   - observer: Receives the loads and the removals.
    ///   - load: Loads the value of a key. The second argument is the stale value, or `nil` if there is none.
    /// - Precondition: The configuration is valid. See ``CacheConfiguration/validate()``.
    public init(
        _ configuration: CacheConfiguration,
        cost: @escaping @Sendable (Key, Value) -> Int = { _, _ in 0 },
        rememberingFailure: @escaping @Sendable (any Error) -> Duration? = { _ in nil },
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (CacheEvent<Key>) -> Void)? = nil,
        load: @escaping @Sendable (Key, Value?) async throws -> Loaded<Value>
    ) {
        requireValid(configuration.validate)
        loader = load
        self.cost = cost
        self.rememberingFailure = rememberingFailure
        timeSource = TimeSource(clock)
        self.randomness = RandomSource(randomness)
        events = EventSink(observer)
        places = LoadPlaces(configuration)
        state = Lock(CacheState(configuration))
    }

    /// The current configuration.
    ///
    /// ``reload(_:)`` replaces the configuration.
    public var configuration: CacheConfiguration { state.withLock { $0.configuration } }

    /// The content and the counters at this moment.
    public var snapshot: CacheSnapshot {
        var snapshot = state.withLock { $0.snapshot }
        (snapshot.runningLoads, snapshot.waitingLoads) = places.counts
        return snapshot
    }

    /// Replaces the configuration and keeps the entries and the running loads.
    ///
    /// Smaller bounds take effect immediately. The lifetime and the jitter apply to later loads. The stale times apply to
    /// all entries.
    ///
    /// - Parameter configuration: The new configuration.
    /// - Throws: `ConfigurationError` if the configuration is not valid. The cache then keeps its old configuration.
    public func reload(_ configuration: CacheConfiguration) throws(ConfigurationError) {
        try configuration.validate()
        let now = timeSource.now
        update { $0.reload(configuration, now: now) }
        places.reload(configuration)
    }

    // MARK: Reading

    /// Returns the value of a key and loads the value if necessary.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - freshness: The freshness that the caller needs. Defaults to ``CacheRead/any``.
    /// - Returns: The value.
    /// - Throws: ``CacheError`` if the load did not begin or did not end in time. `CancellationError` if the task is
    ///   cancelled during the wait. Otherwise the error of the loader, or a remembered error.
    @inlinable
    nonisolated(nonsending) public func value(for key: Key, _ freshness: CacheRead = .any) async throws -> Value {
        let now = timeSource.now
        if case .any = freshness, let value = state.withLock({ $0.hit(key, now: now) }) { return value }
        return try await loadedValue(for: key, freshness, now: now)
    }

    /// Returns the value that a read would receive without a load, or `nil` if there is none.
    ///
    /// The method starts no load, counts no read and is no use of the entry.
    ///
    /// - Parameter key: The key.
    /// - Returns: The value, which is stale only within ``CacheConfiguration/staleWhileRevalidate`` or after a failed load.
    public func cached(_ key: Key) -> Value? {
        let now = timeSource.now
        return update { $0.peek(key, now: now) }
    }

    // MARK: Writing

    /// Stores a value that was not loaded.
    ///
    /// A load of the key that runs meanwhile does not store its value.
    ///
    /// - Parameters:
    ///   - value: The value and its lifetime, tags and version.
    ///   - key: The key.
    /// - Returns: `true` if the value was stored. A value is not stored in the place of a present value of a higher
    ///   version, without a positive lifetime, if its cost exceeds the bound, or if it is ``Loaded/notStored(_:)``.
    @discardableResult
    public func put(_ value: Loaded<Value>, for key: Key) -> Bool {
        guard value.isStored else {
            events.emit(.notStored(key, .notWanted))
            return false
        }
        let now = timeSource.now
        let entry = entry(of: value, for: key, start: 0, began: now, took: 0)
        let reason = update { $0.put(entry, for: key, tags: value.tags, now: now) }
        if let reason { events.emit(.notStored(key, reason)) }
        return reason == nil
    }

    /// Invalidates the value of a key.
    ///
    /// Call the method after the write to the source. No call that begins after the return receives a value of a
    /// load that began before the invalidation.
    ///
    /// - Parameter key: The key.
    public func invalidate(_ key: Key) { update { $0.invalidate(key) } }

    /// Invalidates every value with a tag.
    ///
    /// The guarantee is the guarantee of ``invalidate(_:)``. The method takes constant time for any number of values.
    ///
    /// - Parameter tag: The tag.
    public func invalidate(tag: String) { update { $0.invalidate(tag: tag) } }

    /// Invalidates every value.
    ///
    /// The guarantee is the guarantee of ``invalidate(_:)``.
    public func invalidateAll() {
        let previous = state.withLock { $0.invalidateAll() }
        // The values are released outside of the lock.
        withExtendedLifetime(previous) {}
    }

    /// Changes the state, and releases and reports the entries that left.
    @discardableResult
    func update<Result: Sendable>(_ change: (inout CacheState<Key, Value>) -> Result) -> Result {
        let (result, departures) = state.withLock { state in
            let result = change(&state)
            return (result, state.takeDepartures())
        }
        if events.hasObserver {
            for departure in departures {
                if let cause = departure.cause { events.emit(.removed(departure.key, cause)) }
            }
        }
        return result
    }
}

extension LoadingCache {
    /// The number of tags in memory.
    var tagCount: Int { state.withLock { $0.entries.tags.count } }
}
