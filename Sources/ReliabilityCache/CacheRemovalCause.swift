/// The cause for which an entry left a cache.
@nonexhaustive
public enum CacheRemovalCause: Int, Hashable, Sendable, CaseIterable {
    /// The entry made room for another entry.
    case evicted
    /// The lifetime and the stale time of the entry had passed.
    case expired
    /// The key, a tag of the entry or the whole cache was invalidated.
    case invalidated
    /// A later value for the key was too large to be stored.
    case replaced
}
