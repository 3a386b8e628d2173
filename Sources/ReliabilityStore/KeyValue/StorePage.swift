/// A page of a scan.
public struct StorePage: Hashable, Sendable {
    /// The entries in the order of the bytes of their keys.
    public let entries: [(key: StoreKey, entry: StoreEntry)]
    /// The `after` argument for the next page, or `nil` if the scan has ended.
    public let next: StoreKey?

    /// Creates a page.
    public init(entries: [(key: StoreKey, entry: StoreEntry)], next: StoreKey?) {
        self.entries = entries
        self.next = next
    }

    /// Returns a Boolean value that indicates whether two pages have the same content.
    public static func == (left: StorePage, right: StorePage) -> Bool {
        left.next == right.next && left.entries.elementsEqual(right.entries) { $0 == $1 }
    }

    /// Hashes the content of the page.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(next)
        for (key, entry) in entries {
            hasher.combine(key)
            hasher.combine(entry)
        }
    }
}
