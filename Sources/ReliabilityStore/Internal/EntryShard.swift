internal import ReliabilityCore

/// A part of the entries of an `InMemoryStore`, with its lock and its clock.
///
/// The key of an entry decides its shard. Calls for keys of different shards run in parallel.
final class EntryShard: @unchecked Sendable {
    // @unchecked Sendable: `state` is used only with `lock` locked.

    struct State: ~Copyable {
        var index = EntryIndex()
        private(set) var clock: Int64 = 0

        /// Moves the time forward and reclaims at most `count` expired entries.
        ///
        /// - Returns: The time of the shard.
        mutating func advance(to now: Int64, reclaiming count: Int = 16, _ capacity: MemoryCapacity) -> Int64 {
            clock = max(clock, now)
            reclaim(atMost: count, capacity)
            return clock
        }

        /// Reclaims at most `count` expired entries.
        ///
        /// - Returns: The number of reclaimed entries.
        @discardableResult
        mutating func reclaim(atMost count: Int, _ capacity: MemoryCapacity) -> Int {
            guard let nextExpiry = index.nextExpiry, nextExpiry <= clock / 1_000_000 else { return 0 }
            let before = index.size
            let reclaimed = index.reclaim(atMost: count, at: clock)
            capacity.add(index.size - before)
            return reclaimed
        }
    }

    let lock = Lock(())
    var state = State()

    /// Calls `body` with the state of the shard, which is locked.
    // One access to the class's variable is checked at run time, and no access inside of `body`.
    func access<Result>(_ body: (inout State) -> Result) -> Result { body(&state) }

    /// Locks the shard and calls `body` with its state.
    func withLock<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        lock.withLock { _ in access(body) }
    }
}

/// The records of an `InMemoryStore`, with their lock and their clock.
final class RecordShard: @unchecked Sendable {
    // @unchecked Sendable: `index` and `clock` are used only with `lock` locked.

    let lock = Lock(())
    var index = RecordIndex()
    private(set) var clock: Int64 = 0

    /// Moves the time forward.
    ///
    /// - Returns: The time of the shard.
    func advance(to now: Int64) -> Int64 {
        clock = max(clock, now)
        return clock
    }

    /// Applies planned mutations of records.
    func apply(_ mutations: [StoreMutation], _ versions: PlannedVersions) {
        for mutation in mutations {
            switch mutation {
            case .putRecord(var record):
                record.version = versions.issued(record.version)
                index.set(record)
            case .removeRecord(let queue, let id): index.remove(queue, id)
            case .put, .remove: break
            }
        }
    }
}
