/// The tags of the entries of a cache.
///
/// The table contains the tags of present entries only. The lowest acceptable start stands for every other tag: a load
/// that began before the latest invalidation of any forgotten tag is not stored. An invalidation therefore takes
/// constant time and needs no memory.
@usableFromInline
struct CacheTags: Sendable {
    /// A tag of at least one entry.
    @usableFromInline
    final class Tag: @unchecked Sendable {
        // @unchecked Sendable: the lock `LoadingCache.state` protects the properties that change.
        let name: String
        /// The place of the last invalidation in the order of the cache's loads and invalidations, or 0.
        fileprivate(set) var invalidated: UInt64
        fileprivate var entries = 0

        init(_ name: String, invalidated: UInt64) {
            self.name = name
            self.invalidated = invalidated
        }
    }

    private var tags: [String: Tag] = [:]
    /// The latest invalidation of a tag that is not in the table.
    private var forgotten: UInt64
    /// The latest invalidation of any tag.
    private(set) var latest: UInt64

    /// Creates an empty table in which every tag was invalidated at a place, or never by default.
    init(forgottenAt place: UInt64 = 0) { (forgotten, latest) = (place, place) }

    /// The number of tags in the table.
    var count: Int { tags.count }

    /// Invalidates every value that has a tag and an earlier load.
    mutating func invalidate(_ name: String, at place: UInt64) {
        latest = place
        if let tag = tags[name] { tag.invalidated = place } else { forgotten = place }
    }

    /// Returns whether a tag was invalidated after the start of a load.
    func areInvalidated(_ names: some Collection<String>, since start: UInt64) -> Bool {
        names.contains { (tags[$0]?.invalidated ?? forgotten) > start }
    }

    /// Returns the tags for an entry, which must be released with the entry.
    mutating func retain(_ names: some Collection<String>) -> [Tag] {
        names.map { name in
            let tag = tags[name] ?? Tag(name, invalidated: forgotten)
            tags[name] = tag
            tag.entries += 1
            return tag
        }
    }

    /// Releases the tags of an entry.
    mutating func release(_ released: [Tag]) {
        for tag in released {
            tag.entries -= 1
            if tag.entries > 0 { continue }
            tags[tag.name] = nil
            // A load that began before the invalidation may still end.
            forgotten = max(forgotten, tag.invalidated)
        }
    }
}
