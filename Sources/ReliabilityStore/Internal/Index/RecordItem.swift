/// An item with a record.
///
/// The value of the item is a header, the reason of a dead letter and the payload. The key of the item is the length of
/// the queue's name, the name and the id.
struct RecordItem {
    // The header: flags, attempts, length of the reason, length of the queue's name.
    private static let attemptsOffset = 1
    private static let reasonCountOffset = 9
    private static let queueCountOffset = 13
    private static let headerSize = 17

    let item: Item

    init(_ item: Item) { self.item = item }

    /// Returns the length of the value for a record.
    static func valueCount(of record: StoredRecord) -> Int {
        headerSize + (record.deadLetterReason?.utf8.count ?? 0) + record.payload.count
    }

    /// Writes the value, whose length is that for the record.
    func write(_ record: StoredRecord) {
        let base = unsafe item.valueBase
        let reason = record.deadLetterReason.map { Array($0.utf8) } ?? []
        let flags: UInt8 = (record.isLeased ? 1 : 0) | (record.deadLetterReason != nil ? 2 : 0)
        unsafe base.storeBytes(of: flags, as: UInt8.self)
        unsafe base.storeBytes(of: Int64(record.attempts), toByteOffset: Self.attemptsOffset, as: Int64.self)
        let reasonCount = UInt32(truncatingIfNeeded: reason.count)
        let queueCount = UInt32(truncatingIfNeeded: record.queue.utf8.count)
        unsafe base.storeBytes(of: reasonCount, toByteOffset: Self.reasonCountOffset, as: UInt32.self)
        unsafe base.storeBytes(of: queueCount, toByteOffset: Self.queueCountOffset, as: UInt32.self)
        for (bytes, offset) in [(reason, Self.headerSize), (record.payload, Self.headerSize + reason.count)] {
            unsafe bytes.withUnsafeBytes { bytes in
                guard let start = bytes.baseAddress else { return }
                unsafe (base + offset).copyMemory(from: start, byteCount: bytes.count)
            }
        }
    }

    private func count(at offset: Int) -> Int {
        unsafe Int(item.valueBase.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    private func valueBytes(_ range: Range<Int>) -> KeyBytes {
        unsafe KeyBytes(item.valueBase + range.lowerBound, count: range.count)
    }

    private var flags: UInt8 { unsafe item.valueBase.load(as: UInt8.self) }
    private var queueCount: Int { count(at: Self.queueCountOffset) }
    private var payloadStart: Int { Self.headerSize + count(at: Self.reasonCountOffset) }

    var isLeased: Bool { flags & 1 != 0 }
    var isDeadLetter: Bool { flags & 2 != 0 }
    var version: UInt64 { item.version }
    var dueAt: Int64 { item.time }
    var payloadCount: Int { item.valueCount - payloadStart }
    var payload: [UInt8] { valueBytes(payloadStart..<item.valueCount).array }

    var attempts: Int {
        let attempts = unsafe item.valueBase.loadUnaligned(fromByteOffset: Self.attemptsOffset, as: Int64.self)
        return Int(clamping: attempts)
    }

    var deadLetterReason: String? {
        isDeadLetter ? String(decoding: valueBytes(Self.headerSize..<payloadStart).array, as: UTF8.self) : nil
    }

    var queue: String { String(decoding: item.key.bytes(1..<1 + queueCount).array, as: UTF8.self) }

    var id: String { String(decoding: item.key.bytes(1 + queueCount..<item.keyCount).array, as: UTF8.self) }

    /// The counted bytes of the record.
    var byteCount: Int { item.keyCount - 1 + item.valueCount - Self.headerSize + 64 }

    /// A copy of the record.
    var stored: StoredRecord {
        StoredRecord(
            queue: queue,
            id: id,
            payload: payload,
            version: version,
            attempts: attempts,
            dueAt: dueAt,
            isLeased: isLeased,
            deadLetterReason: deadLetterReason
        )
    }
}

extension KeyBytes {
    /// Returns a view of a part of the bytes.
    func bytes(_ range: Range<Int>) -> KeyBytes { unsafe KeyBytes(base + range.lowerBound, count: range.count) }
}
