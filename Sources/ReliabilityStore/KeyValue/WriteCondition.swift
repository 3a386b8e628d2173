/// The condition of a write on the present entry of its key.
///
/// An expired entry is absent.
public enum WriteCondition: Hashable, Sendable {
    /// No condition.
    case any
    /// The key has no entry.
    case absent
    /// The key has an entry.
    case present
    /// The key has an entry with this version.
    case version(StoreVersion)
}
