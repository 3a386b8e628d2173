internal import ReliabilityCore
internal import ReliabilityStore

/// The records of tags that the process has read recently.
///
/// A record that is older than half of the local lifetime is read again. The age of a record shortens the lifetime of a
/// local copy, so an invalidation of another process is visible after one local lifetime.
struct KnownTags: Sendable {
    private struct Record: Sendable {
        /// The version of the last invalidation, or `nil` if there is none.
        var version: StoreVersion?
        /// The time before the record was read.
        var readAt: Int64
    }

    private let capacity: Int
    private var records: [StoreKey: Record] = [:]

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { records.count }

    /// Returns the tags whose records must be read.
    func missing(_ tags: [StoreKey], now: Int64, maxAge: Int64) -> [StoreKey] {
        tags.filter { tag in
            guard let record = records[tag] else { return true }
            let age = now.saturatingSubtract(record.readAt)
            return age < 0 || age > maxAge
        }
    }

    /// Records the version of a tag's record.
    mutating func set(_ tag: StoreKey, _ version: StoreVersion?, readAt: Int64) {
        if records.count >= capacity, records[tag] == nil { records = [:] }
        // Versions only increase. An older answer must not hide an invalidation of this process.
        guard let version = [version, records[tag]?.version].compactMap({ $0 }).max() else {
            records[tag] = Record(version: nil, readAt: readAt)
            return
        }
        records[tag] = Record(version: version, readAt: readAt)
    }

    /// Returns whether no tag was invalidated after the start of a load, and the time of the oldest record.
    func check(_ tags: [StoreKey], start: StoreVersion, now: Int64) -> (isValid: Bool, readAt: Int64) {
        var (isValid, readAt) = (true, now)
        for tag in tags {
            guard let record = records[tag] else { return (false, now) }
            if let version = record.version, version > start { isValid = false }
            readAt = min(readAt, record.readAt)
        }
        return (isValid, readAt)
    }
}
