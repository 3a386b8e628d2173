internal import ReliabilityCore
public import ReliabilityStore

/// An event of a ``LoadingCache`` or a ``TieredCache``.
///
/// Hits are no events. ``LoadingCache/snapshot`` and ``TieredCache/snapshot`` count them.
@nonexhaustive
public enum CacheEvent<Key: Hashable & Sendable>: Sendable, StoreObservedEvent {
    /// A load returned a value after this duration.
    case loaded(Key, took: Duration)
    /// A load threw an error after this duration.
    case loadFailed(Key, any Error, took: Duration)
    /// A load did not end within ``CacheConfiguration/loadTimeout``, or did not begin within that time.
    case loadTimedOut(Key, CacheError)
    /// A call received a stale value because of an error.
    case servedStale(Key, any Error)
    /// The value of a load was not stored.
    case notStored(Key, CacheNotStoredReason)
    /// An entry left the cache.
    case removed(Key, CacheRemovalCause)
    /// The value in the store could not be decoded, has another schema or belongs to another key.
    ///
    /// The next load replaces the value.
    case unreadable(Key)
    /// A value is kept in memory only, because its encoding failed or the store rejected its size.
    case notShared(Key, any Error)
    /// An invalidation is not confirmed and is repeated.
    ///
    /// The number is the number of invalidations that wait for the store.
    case invalidationPending(count: Int)
    /// The store has confirmed every invalidation.
    case invalidationsConfirmed
    /// The store failed, and the failure mode decides until the store has recovered.
    case storeDown(StoreError)
    /// The store answers again.
    case storeRecovered
    /// Events were dropped before the next event because the observer was too slow.
    case missed(count: Int)
}
