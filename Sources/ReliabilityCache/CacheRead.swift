/// The freshness that a read of a cache asks for.
@nonexhaustive
public enum CacheRead: Hashable, Sendable {
    /// Any value that the configuration allows.
    case any
    /// The value of a load that begins after the call, as `no-cache` in RFC 9111.
    ///
    /// The value is stored for later reads.
    case fresh
}
