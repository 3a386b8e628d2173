/// The freshness that a read of a cache asks for.
@nonexhaustive
public enum CacheRead: Hashable, Sendable {
    /// Any value that the configuration allows.
    case any
    /// The value of a load that begins after the call, as `no-cache` in RFC 9111.
    ///
    /// The value is stored for later reads.
    case fresh
    /// A value of a load that began after the write that gave the mark.
    ///
    /// A ``LoadingCache``, and a ``TieredCache`` that does not accept marks, answer as for ``fresh``. See
    /// ``TieredCacheConfiguration/acceptsMarks``.
    case notOlderThan(CacheMark)
}
