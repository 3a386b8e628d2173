/// The reason for which a cache did not store a loaded value.
@nonexhaustive
public enum CacheNotStoredReason: Int, Hashable, Sendable, CaseIterable {
    /// The loader returned ``Loaded/notStored(_:)``.
    case notWanted
    /// The key, a tag of the value or the whole cache was invalidated or put during the load, or the load timed out.
    case invalidated
    /// The cache has a value of a later load, or of a higher version.
    case newerPresent
    /// The lifetime was not positive, or had passed at the end of the load.
    case expired
    /// The cost of the entry is larger than the bound of the cache.
    case tooLarge
}
