/// The content and the counters of a ``LoadingCache`` at one moment.
///
/// Each read counts exactly once: ``hits`` + ``staleHits`` + ``failureHits`` + ``misses`` is the number of reads. For the
/// misses, ``misses`` + ``repeats`` equals ``loads`` − ``backgroundLoads`` + ``joins`` + ``rejections``.
public struct CacheSnapshot: Hashable, Sendable {
    /// The number of entries.
    public internal(set) var entries = 0
    /// The number of bytes of all entries, with their overhead.
    public internal(set) var cost = 0
    /// The number of loads that run, with abandoned loads.
    public internal(set) var runningLoads = 0
    /// The number of loads that wait for a place.
    public internal(set) var waitingLoads = 0
    /// The number of reads that were answered by a fresh value.
    public internal(set) var hits: UInt64 = 0
    /// The number of reads that were answered by a stale value without a wait.
    public internal(set) var staleHits: UInt64 = 0
    /// The number of reads that were answered by a remembered failure.
    public internal(set) var failureHits: UInt64 = 0
    /// The number of reads that found no value to serve immediately.
    public internal(set) var misses: UInt64 = 0
    /// The number of times that a read joined a load.
    public internal(set) var joins: UInt64 = 0
    /// The number of times that a read started again because a tag of the loaded value was invalidated before the read.
    public internal(set) var repeats: UInt64 = 0
    /// The number of reads of callers that were cancelled or past their deadlines before they joined a load.
    public internal(set) var rejections: UInt64 = 0
    /// The number of reads that received a stale value after a wait because of an error.
    public internal(set) var staleAnswers: UInt64 = 0
    /// The number of loads that were started, with background loads.
    public internal(set) var loads: UInt64 = 0
    /// The number of loads that were started in the background.
    public internal(set) var backgroundLoads: UInt64 = 0
    /// The number of loads that returned a value.
    public internal(set) var successfulLoads: UInt64 = 0
    /// The number of loads that threw an error.
    public internal(set) var failedLoads: UInt64 = 0
    /// The total duration of the loads that have ended, without their waits for a place.
    public internal(set) var loadTime: Duration = .zero
    var removals = [UInt64](repeating: 0, count: CacheRemovalCause.allCases.count)
    var notStored = [UInt64](repeating: 0, count: CacheNotStoredReason.allCases.count)

    init() {}

    /// Returns the number of entries that left the cache.
    ///
    /// - Parameter cause: The cause.
    /// - Returns: The number since the creation.
    public func removals(_ cause: CacheRemovalCause) -> UInt64 { removals[cause.rawValue] }

    /// Returns the number of loaded values that were not stored.
    ///
    /// - Parameter reason: The reason.
    /// - Returns: The number since the creation.
    public func notStored(_ reason: CacheNotStoredReason) -> UInt64 { notStored[reason.rawValue] }
}
