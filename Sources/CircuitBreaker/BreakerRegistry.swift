public import ReliabilityCore

/// Circuit breakers by key, for example one for each host or tenant.
///
/// ```swift
/// let breakers = BreakerRegistry<String>(.standard)
/// let response = try await breakers.breaker(for: account).run {
///     try await client.get(url)
/// }
/// ```
///
/// The registry creates a breaker when its key is first used. All breakers have the same configuration, and
/// ``reload(_:)`` changes all of them.
///
/// - The registry holds at most ``capacity`` breakers. For a further key, the registry evicts the breaker that has not
///   been used for the longest time among the breakers that it may evict.
/// - The registry may evict a breaker that is closed, that no handle forces and that nothing else references. A running
///   call, a permit, a handle and a stored breaker reference the breaker. A key therefore never has two breakers in use.
/// - If the registry finds no breaker to evict, calls for a further key are admitted without a breaker of their own. The
///   registry reports ``BreakerRegistryEvent/full(_:)`` and counts these calls in ``unguardedCount``. Use
///   ``remove(_:)`` for keys that no longer exist.
public final class BreakerRegistry<Key: Hashable & Sendable>: Sendable {
    private struct Content {
        var configuration: SharedConfiguration
        /// The number of reloads.
        var version: UInt64 = 0
        var breakers = RecencyList<Key, Breaker>()
        var unguarded: UInt64 = 0
        var isFull = false
    }

    /// The largest number of breakers in the registry.
    public let capacity: Int

    private let judge: @Sendable (any Error) -> Breaker.Judgement
    private let timeSource: TimeSource
    private let randomness: RandomSource
    private let events: EventSink<BreakerRegistryEvent<Key>>
    private let content: Lock<Content>

    /// The number of breakers that are examined to evict one of them.
    private static var examined: Int { 64 }

    /// Creates an empty registry.
    ///
    /// - Parameters:
    ///   - configuration: The configuration of every breaker. Defaults to ``Breaker/Configuration/standard``.
    ///   - capacity: The largest number of breakers. At least 1. Defaults to 10,000.
    ///   - classify: Maps an error to an outcome. Defaults to `Outcome.standard(for:)`. See ``Breaker``.
    ///   - clock: The clock that measures the time. Defaults to `ContinuousClock`.
    ///   - randomness: The source of randomness for jitter. Defaults to `SystemRandomNumberGenerator`.
    ///   - observer: Receives the changes of every breaker and of the registry.
    /// - Precondition: The configuration is valid and the capacity is at least 1.
    public init(
        _ configuration: Breaker.Configuration = .standard,
        capacity: Int = 10_000,
        classify: @escaping @Sendable (any Error) -> Outcome = Outcome.standard(for:),
        clock: some Clock<Duration> = ContinuousClock(),
        randomness: some RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        observer: (@Sendable (BreakerRegistryEvent<Key>) -> Void)? = nil
    ) {
        requireValid { () throws(ConfigurationError) in
            var problems = ConfigurationProblems("circuit breaker registry")
            problems.require("configuration", configuration.validate)
            problems.require(capacity >= 1, "capacity must be at least 1 (is \(capacity))")
            try problems.throwIfAny()
        }
        self.capacity = capacity
        judge = { Breaker.Judgement(classify($0), of: $0) }
        timeSource = TimeSource(clock)
        self.randomness = RandomSource(randomness)
        events = EventSink(observer)
        content = Lock(Content(configuration: SharedConfiguration(configuration)))
    }

    /// The number of breakers in the registry.
    public var count: Int { content.withLock { $0.breakers.count } }

    /// The number of requests for a breaker that found the registry full.
    public var unguardedCount: UInt64 { content.withLock { $0.unguarded } }

    /// The configuration of every breaker.
    public var configuration: Breaker.Configuration { content.withLock { $0.configuration.value } }

    /// The state and the counters of every breaker in the registry.
    public var snapshots: [Key: Breaker.Snapshot] {
        let all = content.withLock { $0.breakers.all }
        return Dictionary(all.map { ($0.key, $0.value.snapshot) }) { first, _ in first }
    }

    /// Returns the breaker of a key.
    ///
    /// The method creates the breaker if the registry has none. Ask for the breaker at each call instead of storing the
    /// breaker, because the registry cannot evict a stored breaker.
    ///
    /// - Parameter key: The key.
    /// - Returns: The breaker of the key, or a breaker that admits every call if the registry is full.
    public func breaker(for key: Key) -> Breaker {
        while true {
            let (found, configuration, version) = content.withLock {
                ($0.breakers.use(key), $0.configuration, $0.version)
            }
            if let found { return found }
            // Outside of the lock, because the observer and the source of randomness belong to the user.
            let created = Breaker(
                configuration,
                judge: judge,
                timeSource: timeSource,
                randomness: randomness,
                events: events.map { .breaker(key, $0) }
            )
            if let breaker = insert(created, for: key, version) { return breaker }
        }
    }

    /// Inserts a breaker.
    ///
    /// - Returns: The breaker for calls of the key, or `nil` if the configuration has changed meanwhile.
    private func insert(_ created: Breaker, for key: Key, _ version: UInt64) -> Breaker? {
        let now = timeSource.now
        let (breaker, isUnguarded, _, _) = content.withLock { content -> (Breaker?, Bool, Breaker?, (any Sendable)?) in
            if let other = content.breakers.use(key) { return (other, false, nil, nil) }
            if content.version != version { return (nil, false, nil, nil) }
            // The evicted breaker and a dropped event are released after the lock.
            var (evicted, dropped): (Breaker?, (any Sendable)?)
            if content.breakers.count >= capacity {
                guard let entry = evict(from: &content, at: now) else {
                    content.unguarded &+= 1
                    if !content.isFull { dropped = events.emitUnderLock(.full(key)) }
                    content.isFull = true
                    return (nil, true, nil, dropped)
                }
                evicted = entry.value
                dropped = events.emitUnderLock(.evicted(entry.key))
            }
            content.isFull = false
            content.breakers.insert(created, for: key)
            return (created, false, evicted, dropped)
        }
        return isUnguarded ? makeUnguarded() : breaker
    }

    /// Returns a forced-closed breaker for a call without a breaker of its own.
    ///
    /// Each call has another breaker, so that a handle of one key forces no other key.
    private func makeUnguarded() -> Breaker {
        let breaker = Breaker(
            .standard,
            judge: judge,
            timeSource: timeSource,
            randomness: randomness,
            events: EventSink(nil)
        )
        breaker.override(opens: false, by: 1)
        return breaker
    }

    private func evict(from content: inout Content, at now: Int64) -> (key: Key, value: Breaker)? {
        for _ in 0..<min(Self.examined, content.breakers.count) {
            guard let oldest = content.breakers.oldest else { return nil }
            // A breaker without another reference has no running call, and no call can begin under the lock.
            let isIdle = content.breakers.withValue(at: oldest) {
                isKnownUniquelyReferenced(&$0) && $0.isAtRest(at: now)
            }
            if isIdle == true { return content.breakers.remove(at: oldest) }
            // The next search examines other breakers.
            content.breakers.makeNewest(oldest)
        }
        return nil
    }

    /// Removes the breaker of a key in any state.
    ///
    /// Running calls of the breaker end without an effect on a later breaker of the key.
    ///
    /// - Parameter key: The key.
    public func remove(_ key: Key) { _ = content.withLock { $0.breakers.remove(key) } }

    /// Replaces the configuration of every breaker and keeps the states.
    ///
    /// See ``Breaker/reload(_:)``.
    ///
    /// - Parameter configuration: The new configuration.
    /// - Throws: `ConfigurationError` if the configuration is not valid. Nothing then changes.
    public func reload(_ configuration: Breaker.Configuration) throws(ConfigurationError) {
        try configuration.validate()
        let shared = SharedConfiguration(configuration)
        content.withLock {
            $0.configuration = shared
            $0.version &+= 1
        }
        // Two simultaneous reloads can reach a breaker in the reverse order. The later reload then repeats.
        var applied: UInt64
        repeat {
            let (current, version, breakers) = content.withLock { ($0.configuration, $0.version, $0.breakers.all) }
            for breaker in breakers { breaker.value.apply(current) }
            applied = version
        } while applied != content.withLock { $0.version }
    }
}
