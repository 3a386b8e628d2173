/// A write or a check in a commit.
public enum StoreWrite: Hashable, Sendable {
    /// Sets the value and the expiry of an entry. The entry gets a new version.
    case put(StoreKey, [UInt8], Expiry, if: WriteCondition)
    /// Removes the entry if there is an entry.
    case delete(StoreKey, if: WriteCondition)
    /// Changes the expiry of an entry and keeps the value and the version.
    ///
    /// A lease that is renewed with a touch keeps its token. If there is no entry, nothing changes.
    case touch(StoreKey, Expiry, if: WriteCondition)
    /// Requires a condition and changes nothing.
    case check(StoreKey, WriteCondition)

    /// The key of the write or the check.
    public var key: StoreKey {
        switch self {
        case .put(let key, _, _, _), .delete(let key, _), .touch(let key, _, _), .check(let key, _): key
        }
    }
}
