internal import ReliabilityCore

/// The content of an `InMemoryStore`: shards of entries and the records.
///
/// A call for one key locks one shard. Any other call locks the shards that it needs in the order of their numbers, and
/// then the records. Two calls can therefore not wait for each other.
final class MemoryShards: Sendable {
    /// A set of shards, a bit for each shard.
    typealias Mask = UInt32

    static let count = 16
    /// The records in a mask.
    static let recordsMask: Mask = 1 << 16
    static let entriesMask: Mask = recordsMask - 1
    static let all: Mask = entriesMask | recordsMask

    let capacity: MemoryCapacity
    let entries: [EntryShard]
    let records = RecordShard()
    // Without a secret, a caller could choose keys of one shard.
    private let seed = UInt64.random(in: 0...UInt64.max)

    init(_ limits: StoreLimits) {
        capacity = MemoryCapacity(limits)
        entries = (0..<Self.count).map { _ in EntryShard() }
    }

    /// Returns the shard of a key.
    func shard(of key: StoreKey) -> EntryShard { entries[index(of: key)] }

    private func index(of key: StoreKey) -> Int { Int(truncatingIfNeeded: key.hash(seed: seed)) & (Self.count - 1) }

    func mask(of keys: some Sequence<StoreKey>) -> Mask { keys.reduce(0) { $0 | 1 << Mask(index(of: $1)) } }

    /// Calls `body` with the shards of a mask locked.
    ///
    /// - Parameters:
    ///   - mask: The shards.
    ///   - now: The time of the call.
    ///   - body: Takes the time of the shards.
    /// - Returns: The result of `body`.
    /// - Throws: The error of `body`.
    func withLocks<Result: Sendable>(
        _ mask: Mask,
        at now: Int64,
        _ body: (Int64) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        try withLocks(rest: mask) { () throws(StoreError) in
            // All shards get the latest time, so that the content is read at a single point in time.
            var latest = now
            for index in 0..<Self.count where mask & 1 << Mask(index) != 0 {
                latest = max(latest, entries[index].state.clock)
            }
            if mask & Self.recordsMask != 0 { latest = max(latest, records.advance(to: latest)) }
            for index in 0..<Self.count where mask & 1 << Mask(index) != 0 {
                _ = entries[index].state.advance(to: latest, capacity)
            }
            return try body(latest)
        }
    }

    private func withLocks<Result: Sendable>(
        rest: Mask,
        _ body: () throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        if rest == 0 { return try body() }
        let index = rest.trailingZeroBitCount
        let others = rest & (rest - 1)
        if index == Self.count {
            return try records.lock.withLock { _ throws(StoreError) in try withLocks(rest: others, body) }
        }
        return try entries[index].lock.withLock { _ throws(StoreError) in try withLocks(rest: others, body) }
    }

    /// Makes a change with the shards of a mask locked, and with all shards locked if there is no room.
    ///
    /// - Parameters:
    ///   - mask: The shards that the change needs.
    ///   - now: The time of the call.
    ///   - change: Makes the change at a time, or returns `nil` if there is no room.
    /// - Returns: The result of the change.
    /// - Throws: `StoreError` if there is no room.
    func change<Result: Sendable>(
        _ mask: Mask,
        at now: Int64,
        _ change: (Int64) -> Result?
    ) throws(StoreError) -> Result {
        if let result = try withLocks(mask, at: now, { now in change(now) }) { return result }
        return try changeWithReclaim(at: now, change)
    }

    /// Makes a change with all shards locked, and reclaims expired entries until there is room.
    func changeWithReclaim<Result: Sendable>(
        at now: Int64,
        _ change: (Int64) -> Result?
    ) throws(StoreError) -> Result {
        try withLocks(Self.all, at: now) { now throws(StoreError) in
            while true {
                if let result = change(now) { return result }
                if !entries.contains(where: { $0.state.reclaim(atMost: 64, capacity) > 0 }) {
                    throw capacity.limits.exceeded(by: capacity.size)
                }
            }
        }
    }

    /// Reclaims some expired entries of another shard after every 16th version.
    ///
    /// The memory of expired entries therefore comes back even if no call uses the keys of their shard.
    func reclaimElsewhere(after version: UInt64, at now: Int64) {
        if version & 15 != 0 { return }
        entries[Int(version >> 4) & (Self.count - 1)].withLock { shard in
            _ = shard.advance(to: now, reclaiming: 64, capacity)
        }
    }
}
