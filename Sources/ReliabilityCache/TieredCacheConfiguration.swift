public import ReliabilityCore

/// The configuration of a ``TieredCache``.
///
/// The fields are plain values that can come from a file. ``validate()`` reports every problem.
public struct TieredCacheConfiguration: Hashable, Sendable {
    /// The lifetimes, the bounds of the memory and the limits of loads.
    ///
    /// The lifetime and the stale times apply to the values in the store. The time limit of a load includes the calls to
    /// the store and the waits for loads of other processes.
    public var cache: CacheConfiguration
    /// The longest time for which the memory keeps a copy of a value (positive).
    ///
    /// An edit of another process is visible after this time at the latest. A copy never outlives the value in the store.
    public var localTimeToLive: Duration
    /// The longest lifetime that a loader can give to a value, at least the lifetime of ``cache``.
    ///
    /// A longer lifetime is shortened. The records of invalidated tags live longer than every value, so this lifetime
    /// must be the same in all processes.
    public var maxTimeToLive: Duration
    /// The time after which another process can load a value whose loading process has ended (positive).
    ///
    /// The cache renews the lease while the load runs. A lease can therefore be shorter than the load.
    public var lease: Duration
    /// The highest number of invalidations that wait for the store, from 1 to 1,000,000.
    ///
    /// With more, the cache invalidates the whole keyspace in their place.
    public var maxPendingInvalidations: Int
    /// A Boolean value that indicates whether marks of invalidations can select values of the store.
    ///
    /// The store must keep every acknowledged write, see `losesWritesOnFailover` of its capabilities. Otherwise a read
    /// with a mark loads the value from the source. Defaults to `false`.
    public var acceptsMarks: Bool

    /// Creates a configuration.
    ///
    /// - Parameters:
    ///   - cache: The lifetimes, the bounds of the memory and the limits of loads.
    ///   - localTimeToLive: The longest time for which the memory keeps a copy. Defaults to 5 seconds.
    ///   - maxTimeToLive: The longest lifetime that a loader can give to a value. Defaults to `nil` for one day, or for
    ///     the lifetime of `cache` if it is longer.
    ///   - lease: The time after which another process can load a value. Defaults to 5 seconds.
    ///   - maxPendingInvalidations: The highest number of invalidations that wait. Defaults to 10,000.
    ///   - acceptsMarks: Indicates whether marks can select values of the store. Defaults to `false`.
    public init(
        _ cache: CacheConfiguration,
        localTimeToLive: Duration = .seconds(5),
        maxTimeToLive: Duration? = nil,
        lease: Duration = .seconds(5),
        maxPendingInvalidations: Int = 10_000,
        acceptsMarks: Bool = false
    ) {
        self.cache = cache
        self.localTimeToLive = localTimeToLive
        self.maxTimeToLive = maxTimeToLive ?? max(cache.timeToLive, .seconds(86_400))
        self.lease = lease
        self.maxPendingInvalidations = maxPendingInvalidations
        self.acceptsMarks = acceptsMarks
    }

    /// Creates a configuration with two lifetimes.
    ///
    /// - Parameters:
    ///   - timeToLive: The lifetime of a value.
    ///   - localTimeToLive: The longest time for which the memory keeps a copy. Defaults to 5 seconds.
    /// - Returns: The configuration.
    public static func expiring(after timeToLive: Duration, localTimeToLive: Duration = .seconds(5)) -> Self {
        Self(.expiring(after: timeToLive), localTimeToLive: localTimeToLive)
    }

    /// Checks every field.
    ///
    /// - Throws: `ConfigurationError` with every problem.
    public func validate() throws(ConfigurationError) {
        var problems = ConfigurationProblems("tiered cache")
        problems.require("cache", cache.validate)
        problems.require(localTimeToLive > .zero, "localTimeToLive must be positive (is \(localTimeToLive))")
        problems.require(
            maxTimeToLive >= cache.timeToLive,
            "maxTimeToLive must be at least timeToLive, \(cache.timeToLive) (is \(maxTimeToLive))"
        )
        problems.require(lease > .zero, "lease must be positive (is \(lease))")
        problems.require(
            (1...1_000_000).contains(maxPendingInvalidations),
            "maxPendingInvalidations must be from 1 to 1,000,000 (is \(maxPendingInvalidations))"
        )
        try problems.throwIfAny()
    }
}

extension TieredCacheConfiguration {
    /// The configuration of the local tier.
    ///
    /// The store serves stale values, because only the store knows whether another process has invalidated a value.
    var local: CacheConfiguration {
        var local = cache
        local.timeToLive = min(cache.timeToLive, localTimeToLive)
        (local.staleWhileRevalidate, local.staleIfError) = (.zero, .zero)
        return local
    }

    /// The time in nanoseconds for which the record of an invalidated tag lives.
    ///
    /// The record outlives every value whose load began before the invalidation.
    var tagLife: Int64 {
        [maxTimeToLive, cache.loadTimeout, lease, .seconds(60)].reduce(cache.longestStaleTime) { sum, duration in
            sum.saturatingAdd(duration.saturatingNanoseconds)
        }
    }
}
