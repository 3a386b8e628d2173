public import ReliabilityCore

/// The configuration of a ``LoadingCache``.
///
/// The fields are plain values that can come from a file. ``validate()`` reports every problem.
public struct CacheConfiguration: Hashable, Sendable {
    /// The rule for loads before the end of a lifetime.
    @nonexhaustive
    public enum EarlyRefresh: Hashable, Sendable {
        /// No load begins before the end of the lifetime.
        case none
        /// A load begins in the background at a random time before the end of the lifetime.
        ///
        /// The mean of the time is `beta` times the duration of the last load. Processes that share a source therefore
        /// refresh a value at different times, and slow loads begin earlier. See Vattani et al., "Optimal Probabilistic
        /// Cache Stampede Prevention", 2015. From 0 to 100.
        case probabilistic(beta: Double = 1)
    }

    /// The lifetime of a value, measured from the beginning of its load (positive).
    public var timeToLive: Duration
    /// The largest share by which a random part shortens each lifetime, from 0 to 1.
    public var jitter: Double
    /// The rule for loads before the end of a lifetime.
    public var earlyRefresh: EarlyRefresh
    /// The time after the lifetime for which a value is served while a load runs in the background.
    ///
    /// Must not be negative. See RFC 5861.
    public var staleWhileRevalidate: Duration
    /// The time after the lifetime for which a value is served if a load fails.
    ///
    /// Must not be negative. See RFC 5861.
    public var staleIfError: Duration
    /// The time for which a failed load is not repeated while its key has a value that can be served (positive).
    public var failureBackoff: Duration
    /// The highest number of bytes of all entries, with their overhead (at least 1).
    public var maxCost: Int
    /// The highest number of entries, from 1 to 100,000,000.
    public var maxEntries: Int
    /// The highest number of loads that run at the same time, from 1 to 1,000,000.
    ///
    /// A load that ignores its cancellation counts until its end. A load inside of another load of the cache shares the
    /// place of that load.
    public var maxConcurrentLoads: Int
    /// The highest number of loads that wait for a place, from 0 to 1,000,000.
    public var maxWaitingLoads: Int
    /// The longest time of a load with its wait for a place (positive).
    public var loadTimeout: Duration

    /// Creates a configuration.
    ///
    /// - Parameters:
    ///   - timeToLive: The lifetime of a value.
    ///   - jitter: The largest share by which a random part shortens each lifetime. Defaults to 0.1.
    ///   - earlyRefresh: The rule for loads before the end of a lifetime. Defaults to a probabilistic refresh.
    ///   - staleWhileRevalidate: The time for which a stale value is served during a load. Defaults to zero.
    ///   - staleIfError: The time for which a stale value is served if a load fails. Defaults to zero.
    ///   - failureBackoff: The time for which a failed load is not repeated. Defaults to 10 seconds.
    ///   - maxCost: The highest number of bytes. Defaults to 64 MiB.
    ///   - maxEntries: The highest number of entries. Defaults to 10,000.
    ///   - maxConcurrentLoads: The highest number of running loads. Defaults to 64.
    ///   - maxWaitingLoads: The highest number of waiting loads. Defaults to 10,000.
    ///   - loadTimeout: The longest time of a load. Defaults to 10 seconds.
    public init(
        timeToLive: Duration,
        jitter: Double = 0.1,
        earlyRefresh: EarlyRefresh = .probabilistic(),
        staleWhileRevalidate: Duration = .zero,
        staleIfError: Duration = .zero,
        failureBackoff: Duration = .seconds(10),
        maxCost: Int = 64 << 20,
        maxEntries: Int = 10_000,
        maxConcurrentLoads: Int = 64,
        maxWaitingLoads: Int = 10_000,
        loadTimeout: Duration = .seconds(10)
    ) {
        self.timeToLive = timeToLive
        self.jitter = jitter
        self.earlyRefresh = earlyRefresh
        self.staleWhileRevalidate = staleWhileRevalidate
        self.staleIfError = staleIfError
        self.failureBackoff = failureBackoff
        self.maxCost = maxCost
        self.maxEntries = maxEntries
        self.maxConcurrentLoads = maxConcurrentLoads
        self.maxWaitingLoads = maxWaitingLoads
        self.loadTimeout = loadTimeout
    }

    /// Creates a configuration with a lifetime.
    ///
    /// - Parameter timeToLive: The lifetime of a value.
    /// - Returns: The configuration.
    public static func expiring(after timeToLive: Duration) -> Self { Self(timeToLive: timeToLive) }

    /// Checks every field.
    ///
    /// - Throws: `ConfigurationError` with every problem.
    public func validate() throws(ConfigurationError) {
        var problems = ConfigurationProblems("cache")
        problems.require(timeToLive > .zero, "timeToLive must be positive (is \(timeToLive))")
        problems.require((0...1).contains(jitter), "jitter must be from 0 to 1 (is \(jitter))")
        if case .probabilistic(let beta) = earlyRefresh {
            problems.require((0...100).contains(beta), "beta of earlyRefresh must be from 0 to 100 (is \(beta))")
        }
        problems.require(
            staleWhileRevalidate >= .zero,
            "staleWhileRevalidate must not be negative (is \(staleWhileRevalidate))"
        )
        problems.require(staleIfError >= .zero, "staleIfError must not be negative (is \(staleIfError))")
        problems.require(failureBackoff > .zero, "failureBackoff must be positive (is \(failureBackoff))")
        problems.require(maxCost >= 1, "maxCost must be at least 1 (is \(maxCost))")
        problems.require(
            (1...100_000_000).contains(maxEntries),
            "maxEntries must be from 1 to 100,000,000 (is \(maxEntries))"
        )
        problems.require(
            (1...1_000_000).contains(maxConcurrentLoads),
            "maxConcurrentLoads must be from 1 to 1,000,000 (is \(maxConcurrentLoads))"
        )
        problems.require(
            (0...1_000_000).contains(maxWaitingLoads),
            "maxWaitingLoads must be from 0 to 1,000,000 (is \(maxWaitingLoads))"
        )
        problems.require(loadTimeout > .zero, "loadTimeout must be positive (is \(loadTimeout))")
        try problems.throwIfAny()
    }
}

extension CacheConfiguration {
    /// The time in nanoseconds for which an entry is kept after its lifetime.
    var longestStaleTime: Int64 { max(staleWhileRevalidate, staleIfError).saturatingNanoseconds }
}
