public import ReliabilityCore

/// An event of a ``LoadingCache``.
///
/// Hits are no events. ``LoadingCache/snapshot`` counts them.
@nonexhaustive
public enum CacheEvent<Key: Hashable & Sendable>: Sendable, ObservedEvent {
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
    /// Events were dropped before the next event because the observer was too slow.
    case missed(count: Int)
}
