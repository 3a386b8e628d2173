/// The content and the counters of a ``TieredCache`` at one moment.
public struct TieredCacheSnapshot: Hashable, Sendable {
    /// The memory of the process.
    ///
    /// A load of the memory asks the store first. ``sourceLoads`` counts the loads of the source.
    public internal(set) var memory = CacheSnapshot()
    /// The number of invalidations that the store has not confirmed.
    public internal(set) var pendingInvalidations = 0
    /// The number of loads that the store answered with a fresh value.
    public internal(set) var storeHits: UInt64 = 0
    /// The number of loads that the store answered with a stale value.
    public internal(set) var storeStaleHits: UInt64 = 0
    /// The number of loads of the source.
    public internal(set) var sourceLoads: UInt64 = 0
    /// The number of loads of the source without the store, because the store did not answer or an invalidation of the
    /// key waits for the store.
    public internal(set) var loadsWithoutStore: UInt64 = 0
    /// The number of loads that waited for a load of another process.
    public internal(set) var leaseWaits: UInt64 = 0
    /// The number of values that were written to the store.
    public internal(set) var fills: UInt64 = 0
    /// The number of values that were not stored in either tier, because another process invalidated or loaded the key
    /// meanwhile.
    public internal(set) var rejectedFills: UInt64 = 0
    /// The number of values in the store that could not be decoded.
    public internal(set) var unreadable: UInt64 = 0

    init() {}
}
