/// The queues with records, by name.
///
/// The names are spread over fixed tables. A table that grows therefore moves a small share of the queues.
struct QueueTable: Sendable {
    /// The pending records of a queue in the order of their due times and the number of its dead letters.
    final class Queue: @unchecked Sendable {
        // @unchecked Sendable: the owner of the table serializes all access.
        var due = ItemHeap()
        var deadLetterCount = 0

        var isEmpty: Bool { due.count == 0 && deadLetterCount == 0 }
    }

    private var tables = [[QueueName: Queue]](repeating: [:], count: 256)

    private func table(of name: QueueName) -> Int { name.hashValue & 255 }

    subscript(name: QueueName) -> Queue? {
        get { tables[table(of: name)][name] }
        set { tables[table(of: name)][name] = newValue }
    }

    /// Returns the queue with a name and creates a missing queue.
    mutating func queue(_ name: QueueName) -> Queue {
        let table = table(of: name)
        if let queue = tables[table][name] { return queue }
        let queue = Queue()
        tables[table][name] = queue
        return queue
    }
}
