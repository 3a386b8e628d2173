public import ReliabilityCore

/// When an entry ends.
///
/// Every write says so; there is no default.
public enum Expiry: Hashable, Sendable {
    /// It stays until it is deleted.
    case never
    /// It ends this long after the write, by the store's clock; at least one millisecond.
    ///
    /// A store may round the end up by less than a millisecond, and never down. From the instant it ends, the entry is
    /// absent for every operation.
    case after(Duration)
    /// It ends when the entry that is there now would have; never, if there is none.
    case keep
}

/// What must be true of a key for a commit to happen.
///
/// An expired entry is absent.
public enum Precondition: Hashable, Sendable {
    /// Anything.
    case any
    /// There is no entry.
    case absent
    /// There is an entry.
    case present
    /// There is an entry, and it has this version.
    case version(StoreVersion)
}

/// One part of a commit.
public enum StoreWrite: Hashable, Sendable {
    /// Sets a value; the entry gets a new version.
    case put(StoreKey, [UInt8], Expiry, if: Precondition)
    /// Removes the entry, if there is one.
    case delete(StoreKey, if: Precondition)
    /// Changes when the entry ends and keeps its value and version: a renewed lease keeps its token.
    ///
    /// Where there is no entry, nothing changes.
    case touch(StoreKey, Expiry, if: Precondition)
    /// Changes nothing, and requires something.
    case check(StoreKey, Precondition)

    /// The key that is written or checked.
    public var key: StoreKey {
        switch self {
        case .put(let key, _, _, _), .delete(let key, _), .touch(let key, _, _), .check(let key, _): key
        }
    }
}

/// An entry as it was read.
public struct StoreEntry: Hashable, Sendable {
    /// The value.
    public let value: [UInt8]
    /// The version of this state.
    public let version: StoreVersion
    /// How long the entry lives on; nil for ever.
    public let remaining: Duration?

    /// Creates an entry.
    public init(value: [UInt8], version: StoreVersion, remaining: Duration?) {
        self.value = value
        self.version = version
        self.remaining = remaining
    }
}

/// What became of a commit.
public enum CommitResult: Hashable, Sendable {
    /// All writes happened, in one step.
    ///
    /// One element for each write: the version of the entry after it, nil when there is none.
    case committed([StoreVersion?])
    /// Nothing happened: the write at this index found its precondition false.
    ///
    /// `current` is what is there now.
    case conflict(index: Int, current: StoreEntry?)
}

/// One page of a scan.
public struct StorePage: Hashable, Sendable {
    /// The entries, in the order of their keys' bytes.
    public let entries: [(key: StoreKey, entry: StoreEntry)]
    /// Where to go on: the `after` of the next call; nil at the end.
    public let next: StoreKey?

    /// Creates a page.
    public init(entries: [(key: StoreKey, entry: StoreEntry)], next: StoreKey?) {
        self.entries = entries
        self.next = next
    }

    /// Whether two pages hold the same.
    public static func == (left: StorePage, right: StorePage) -> Bool {
        left.next == right.next && left.entries.elementsEqual(right.entries) { $0 == $1 }
    }

    /// Feeds the page's content to a hasher.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(next)
        for (key, entry) in entries {
            hasher.combine(key)
            hasher.combine(entry)
        }
    }
}
