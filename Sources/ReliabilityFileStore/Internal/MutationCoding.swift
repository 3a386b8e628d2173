internal import ReliabilityCore
package import ReliabilityStore

// A frame's payload is a sequence of mutations. A mutation is a tag and the fields of the tag.

private enum Tag {
    static let put: UInt8 = 1
    static let putExpiring: UInt8 = 2
    static let remove: UInt8 = 3
    static let putRecord: UInt8 = 4
    static let putLeasedRecord: UInt8 = 5
    static let putDeadLetter: UInt8 = 6
    static let removeRecord: UInt8 = 7
}

extension [UInt8] {
    package mutating func append(mutation: StoreMutation) {
        switch mutation {
        case .put(let key, let entry):
            append(entry.expiresAt == nil ? Tag.put : Tag.putExpiring)
            key.appendCounted(to: &self)
            append(number: entry.version)
            if let expiresAt = entry.expiresAt { append(number: expiresAt) }
            append(counted: entry.value)
        case .remove(let key):
            append(Tag.remove)
            key.appendCounted(to: &self)
        case .putRecord(let record):
            let isDeadLetter = record.deadLetterReason != nil
            append(isDeadLetter ? Tag.putDeadLetter : record.isLeased ? Tag.putLeasedRecord : Tag.putRecord)
            append(counted: record.queue.utf8)
            append(counted: record.id.utf8)
            append(number: record.version)
            append(number: Int64(record.attempts))
            append(number: record.dueAt)
            if let reason = record.deadLetterReason { append(counted: reason.utf8) }
            append(counted: record.payload)
        case .removeRecord(let queue, let id):
            append(Tag.removeRecord)
            append(counted: queue.utf8)
            append(counted: id.utf8)
        }
    }
}

/// The exclusive upper bound of the versions in a file.
///
/// The versions above are a reserve for later counting.
package let versionLimit: UInt64 = 1 << 62

extension ByteReader {
    package mutating func mutations() throws(MalformedBytes) -> [StoreMutation] {
        var mutations: [StoreMutation] = []
        while !isAtEnd { mutations.append(try mutation()) }
        return mutations
    }

    private mutating func mutation() throws(MalformedBytes) -> StoreMutation {
        let tag = try byte()
        switch tag {
        case Tag.put, Tag.putExpiring:
            let key = StoreKey(encoded: try counted())
            let version = try version()
            let expiresAt: Int64? = tag == Tag.putExpiring ? try number() : nil
            return .put(key, StoredEntry(value: try counted(), version: version, expiresAt: expiresAt))
        case Tag.remove:
            return .remove(StoreKey(encoded: try counted()))
        case Tag.putRecord, Tag.putLeasedRecord, Tag.putDeadLetter:
            let queue = try text()
            let id = try text()
            let version = try version()
            let attempts: Int64 = try number()
            let dueAt: Int64 = try number()
            let deadLetterReason = tag == Tag.putDeadLetter ? try text() : nil
            guard attempts >= 0 else { throw MalformedBytes() }
            return .putRecord(
                StoredRecord(
                    queue: queue,
                    id: id,
                    payload: try counted(),
                    version: version,
                    attempts: Int(clamping: attempts),
                    dueAt: dueAt,
                    isLeased: tag == Tag.putLeasedRecord,
                    deadLetterReason: deadLetterReason
                )
            )
        case Tag.removeRecord:
            return .removeRecord(queue: try text(), id: try text())
        default:
            throw MalformedBytes()
        }
    }

    private mutating func version() throws(MalformedBytes) -> UInt64 {
        let version: UInt64 = try number()
        guard version < versionLimit else { throw MalformedBytes() }
        return version
    }
}
