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
    /// The number of times that the records were dropped because there were too many.
    private(set) var epoch = 0

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
    ///
    /// - Parameters:
    ///   - tag: The tag.
    ///   - version: The version, or `nil` if there is no record.
    ///   - readAt: The time before the record was read or written.
    ///   - epoch: The epoch before a record was read, or `nil` for a write. The records of an earlier epoch could have
    ///     contained a later invalidation, so that an answer from then is ignored.
    mutating func set(_ tag: StoreKey, _ version: StoreVersion?, readAt: Int64, since epoch: Int? = nil) {
        if let epoch, epoch != self.epoch { return }
        if records.count >= capacity, records[tag] == nil {
            records = [:]
            self.epoch += 1
        }
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
