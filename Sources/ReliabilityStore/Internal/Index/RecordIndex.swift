internal import ReliabilityCore

/// The records of a store, in the order of their ids for each state and in the order of their due times.
///
/// The index has no clock and no limits. Its owner checks both.
struct RecordIndex: ~Copyable, Sendable {
    // The key of a record is the length of the queue's name, the name and the id.
    private var pending = ItemTree()
    private var deadLetters = ItemTree()
    private var queues = QueueTable()
    /// The counted bytes of all records.
    private(set) var byteCount = 0

    /// The number of records in all queues.
    var count: Int { pending.count + deadLetters.count }

    /// The counted size of all records.
    var size: StoreDelta { StoreDelta(items: count, bytes: byteCount) }

    /// The number of nodes and slots that all calls visited or moved, apart from the heap of a queue.
    func steps(of queue: QueueName) -> Int {
        pending.steps &+ deadLetters.steps &+ (queues[queue]?.due.steps ?? 0)
    }

    /// Returns the bytes of a record's key.
    static func key(_ queue: String, _ id: String) -> [UInt8] {
        let name = queue.utf8
        var key: [UInt8] = []
        key.reserveCapacity(1 + name.count + id.utf8.count)
        key.append(UInt8(clamping: name.count))
        key.append(contentsOf: name)
        key.append(contentsOf: id.utf8)
        return key
    }

    // MARK: Reading

    /// Returns a record, or `nil` if the queue has no record with the id.
    func record(_ queue: QueueName, _ id: String) -> RecordItem? {
        Self.key(queue.description, id).withKeyBytes { key in
            pending.place(of: key).item.map(RecordItem.init) ?? deadLetters.place(of: key).item.map(RecordItem.init)
        }
    }

    /// Returns the first pending records of a queue that are due.
    ///
    /// - Parameters:
    ///   - queue: The queue.
    ///   - limit: The largest number of records.
    ///   - time: The present time in Unix milliseconds.
    /// - Returns: The records in the order of their due times.
    func due(_ queue: QueueName, limit: Int, at time: Int64) -> [RecordItem] {
        queues[queue]?.due.smallest(limit, upTo: time).map(RecordItem.init) ?? []
    }

    /// The earliest due time or end of a lease in a queue in Unix milliseconds, or `nil` if no record is pending.
    func nextDue(_ queue: QueueName) -> Int64? { queues[queue]?.due.first?.time }

    func counts(_ queue: QueueName) -> RecordCounts {
        guard let queue = queues[queue] else { return RecordCounts(pending: 0, deadLetters: 0) }
        return RecordCounts(pending: queue.due.count, deadLetters: queue.deadLetterCount)
    }

    /// Calls `body` with the records of one state in the order of their keys until `body` returns `false`.
    func forEach(_ state: RecordState, from key: KeyBytes, afterEqual: Bool = false, _ body: (RecordItem) -> Bool) {
        switch state {
        case .pending: pending.forEach(from: key, afterEqual: afterEqual) { body(RecordItem($0)) }
        case .deadLetter: deadLetters.forEach(from: key, afterEqual: afterEqual) { body(RecordItem($0)) }
        }
    }

    /// Calls `body` with all records in the order of their keys until `body` returns `false`.
    func forEach(from key: KeyBytes, _ body: (RecordItem) -> Bool) {
        var first = pending.cursor(from: key)
        var second = deadLetters.cursor(from: key)
        while true {
            switch (first.item, second.item) {
            case (nil, nil): return
            case (let item?, let other) where other.map { item.key.compare($0.key) < 0 } ?? true:
                if !body(RecordItem(item)) { return }
                pending.advance(&first)
            case (_, let item?):
                if !body(RecordItem(item)) { return }
                deadLetters.advance(&second)
            case (_, nil): return
            }
        }
    }

    // MARK: Changing

    /// Sets a record.
    mutating func set(_ record: StoredRecord) {
        let queue = queues.queue(QueueName(record.queue))
        Self.key(record.queue, record.id).withKeyBytes { key in
            if record.deadLetterReason == nil {
                if deadLetters.count > 0, let bytes = Self.remove(key, from: &deadLetters, nil) {
                    byteCount -= bytes
                    queue.deadLetterCount -= 1
                }
                byteCount += Self.set(record, key, in: &pending, queue)
            } else {
                byteCount -= Self.remove(key, from: &pending, queue) ?? 0
                let count = deadLetters.count
                byteCount += Self.set(record, key, in: &deadLetters, nil)
                queue.deadLetterCount += deadLetters.count - count
            }
        }
    }

    /// Sets a record in a tree and, for a pending record, in the heap of its queue.
    ///
    /// - Returns: The number of counted bytes added.
    private static func set(
        _ record: StoredRecord,
        _ key: KeyBytes,
        in tree: inout ItemTree,
        _ queue: QueueTable.Queue?
    ) -> Int {
        let place = tree.place(of: key)
        let oldBytes = place.item.map { RecordItem($0).byteCount } ?? 0
        let valueCount = RecordItem.valueCount(of: record)
        if let old = place.item, old.valueCount == valueCount {
            RecordItem(old).write(record)
            old.version = record.version
            old.time = record.dueAt
            queue?.due.update(old)
            return record.byteCount - oldBytes
        }
        let item = Item(key: key, valueCount: valueCount, version: record.version, time: record.dueAt)
        RecordItem(item).write(record)
        if let old = place.item {
            tree.replace(at: place, with: item)
            queue?.due.replace(old, with: item)
            old.free()
        } else {
            tree.insert(item, at: place)
            queue?.due.insert(item)
        }
        return record.byteCount - oldBytes
    }

    /// Removes a record from a tree and, for a pending record, from the heap of its queue.
    ///
    /// - Returns: The number of counted bytes removed, or `nil` if the tree has no such record.
    private static func remove(_ key: KeyBytes, from tree: inout ItemTree, _ queue: QueueTable.Queue?) -> Int? {
        let place = tree.place(of: key)
        guard let item = place.item else { return nil }
        let bytes = RecordItem(item).byteCount
        tree.remove(at: place)
        queue?.due.remove(item)
        item.free()
        return bytes
    }

    /// Removes a record if there is a record.
    mutating func remove(_ queue: String, _ id: String) {
        let name = QueueName(queue)
        guard let table = queues[name] else { return }
        Self.key(queue, id).withKeyBytes { key in
            if let bytes = Self.remove(key, from: &pending, table) {
                byteCount -= bytes
            } else if let bytes = Self.remove(key, from: &deadLetters, nil) {
                byteCount -= bytes
                table.deadLetterCount -= 1
            }
        }
        if table.isEmpty { queues[name] = nil }
    }

    /// Ends the leases of all records.
    ///
    /// - Parameter time: The present time in Unix milliseconds.
    /// - Returns: The records whose leases ended.
    mutating func endLeases(at time: Int64) -> [StoredRecord] {
        var ended: [StoredRecord] = []
        [].withKeyBytes { first in
            pending.forEach(from: first, afterEqual: false) { item in
                let record = RecordItem(item)
                guard record.isLeased, item.time > time else { return true }
                item.time = time
                queues[QueueName(record.queue)]?.due.update(item)
                ended.append(record.stored)
                return true
            }
        }
        return ended
    }
}

extension ItemTree {
    /// Calls `body` with the items at or after a key until `body` returns `false`.
    borrowing func forEach(from key: KeyBytes, afterEqual: Bool, _ body: (Item) -> Bool) {
        var cursor = cursor(from: key, afterEqual: afterEqual)
        while let item = cursor.item, body(item) { advance(&cursor) }
    }
}
