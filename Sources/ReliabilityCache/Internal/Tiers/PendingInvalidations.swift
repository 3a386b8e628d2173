internal import ReliabilityCore
internal import ReliabilityStore

/// The invalidations that the store has not confirmed, without clock and locks.
///
/// The list is bounded. In the place of a full list, everything is invalidated.
struct PendingInvalidations: Sendable {
    /// An invalidation with the ticket of its latest call.
    struct Item: Hashable, Sendable {
        let target: InvalidationTarget
        let ticket: UInt64
    }

    private let limit: Int
    private let everything: InvalidationTarget
    /// The ticket of the latest call for each target.
    private var entries: [InvalidationTarget: UInt64] = [:]
    /// The targets whose write failed, so that the write must be repeated.
    private var failed: Set<InvalidationTarget> = []
    private var lastTicket: UInt64 = 0
    /// A Boolean value that indicates whether a task repeats the failed writes.
    private var isRepeating = false

    init(limit: Int, generation: StoreKey) {
        self.limit = limit
        everything = .all(generation)
    }

    var count: Int { entries.count }
    var blocksEverything: Bool { entries[everything] != nil }

    /// Returns whether the values of a key or of a tag must not be read from the store.
    func blocks(_ target: InvalidationTarget) -> Bool {
        !entries.isEmpty && (entries[target] != nil || blocksEverything)
    }

    /// Adds an invalidation.
    ///
    /// - Parameters:
    ///   - target: The target.
    ///   - isFailed: `true` if the write has failed already. Defaults to `false`.
    /// - Returns: The invalidation.
    mutating func begin(_ target: InvalidationTarget, isFailed: Bool = false) -> Item {
        lastTicket += 1
        if entries.count >= limit, entries[target] == nil, target != everything {
            entries = [everything: lastTicket]
            failed = [everything]
        } else {
            entries[target] = lastTicket
            if isFailed { failed.insert(target) }
        }
        return Item(target: target, ticket: lastTicket)
    }

    /// Removes the invalidations that the store has confirmed, unless a later call has renewed them.
    ///
    /// - Returns: `true` if no invalidation is left, and one was left before.
    mutating func confirm(_ items: [Item]) -> Bool {
        if entries.isEmpty { return false }
        for item in items where entries[item.target] == item.ticket {
            entries[item.target] = nil
            failed.remove(item.target)
        }
        return entries.isEmpty
    }

    /// Records that the writes of invalidations must be repeated.
    mutating func fail(_ items: [Item]) {
        for item in items where entries[item.target] != nil { failed.insert(item.target) }
    }

    /// A Boolean value that indicates whether failed writes are left that no task repeats.
    var isRepetitionDue: Bool { !isRepeating && !failed.isEmpty }

    /// Returns whether the caller must start the task that repeats the failed writes.
    mutating func startRepeating() -> Bool {
        guard isRepetitionDue else { return false }
        isRepeating = true
        return true
    }

    /// Records that the task ends although writes are left.
    mutating func stopRepeating() { isRepeating = false }

    /// Returns the next invalidations to repeat, or ends the task if there are none.
    ///
    /// - Parameter maxWrites: The highest number of writes.
    /// - Returns: The invalidations.
    mutating func nextItems(maxWrites: Int) -> [Item] {
        var (items, writes) = ([Item](), 0)
        for target in failed {
            writes += target.writeCount
            guard writes <= maxWrites, let ticket = entries[target] else { break }
            items.append(Item(target: target, ticket: ticket))
        }
        if items.isEmpty { isRepeating = false }
        return items
    }
}
