/// A place in the order of a store's content.
///
/// All entries come first, in the order of the bytes of their keys. All records follow, in the order of their queues
/// and ids.
package struct ContentKey: Comparable, Hashable, Sendable {
    /// The bytes of the place.
    ///
    /// An entry has a 0 and the encoded key. A record has a 1, the length of the queue's name, the name and the id.
    package let bytes: [UInt8]

    package init(bytes: [UInt8]) { self.bytes = bytes }

    /// The place before all content.
    package static let start = ContentKey(bytes: [])

    static func entry(_ key: KeyBytes) -> ContentKey { ContentKey(bytes: [0] + key.array) }
    static func record(_ key: KeyBytes) -> ContentKey { ContentKey(bytes: [1] + key.array) }

    /// Returns a Boolean value that indicates whether the first place precedes the second place.
    package static func < (left: ContentKey, right: ContentKey) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }
}

extension StoreMutation {
    /// The place of the entry or record that the mutation changes.
    package var contentKey: ContentKey {
        switch self {
        case .put(let key, _), .remove(let key): key.withKeyBytes { .entry($0) }
        case .putRecord(let record): RecordIndex.key(record.queue, record.id).withKeyBytes { .record($0) }
        case .removeRecord(let queue, let id): RecordIndex.key(queue, id).withKeyBytes { .record($0) }
        }
    }
}
