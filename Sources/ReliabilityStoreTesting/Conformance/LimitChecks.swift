internal import ReliabilityCore
internal import ReliabilityStore

extension StoreConformance {
    static let limitChecks = [
        Check("limits.atLimit", "values, keys and commits at the store's limits are stored", atLimits),
        Check(
            "limits.rejected",
            "a call beyond the store's limits is rejected as invalid and changes nothing",
            beyondLimits
        ),
        Check(
            "limits.capacity",
            "a full store rejects new entries and changes nothing, and deletes and expiry make room",
            capacity
        ),
    ]

    /// Returns a key with exactly this number of bytes.
    private static func key(bytes count: Int, last: UInt8) -> StoreKey? {
        let keys = (0...count).lazy.map { shorter in
            StoreKey(ConformanceRun.keyspace, bytes: [[UInt8](repeating: 9, count: count - shorter) + [last]])
        }
        return keys.first { $0.byteCount == count }
    }

    private static func atLimits(_ run: ConformanceRun) async throws {
        let limits = run.store.capabilities
        let value = [UInt8](repeating: 5, count: limits.maxValueBytes)
        try await run.put(run.key("large"), value)
        try await run.expect(run.key("large"), holds: value, "the largest value")
        // The longest keys differ only in their last byte: a store that cuts keys confuses these keys.
        for last in UInt8(1)...3 {
            guard let key = key(bytes: limits.maxKeyBytes, last: last) else { break }
            try await run.put(key, [last], if: .absent)
            try await run.expect(key, holds: [last], "the longest key")
        }
        let writes = (0..<limits.maxWrites).map { StoreWrite.put(run.key("\($0)"), [2], .never, if: .absent) }
        try await run.committed(writes)
        try await run.expect(run.key("\(limits.maxWrites - 1)"), holds: [2], "the last entry of the largest commit")
        // The number of keys in a read has no limit.
        let read = try await run.read((0..<2 * limits.maxWrites).map { run.key("\($0)") })
        let found = read.count { $0 != nil }
        try run.expect(found, is: limits.maxWrites, "the number of entries in a read of twice maxWrites keys")
    }

    private static func beyondLimits(_ run: ConformanceRun) async throws {
        let limits = run.store.capabilities
        let other = run.key("other")
        let harmless = StoreWrite.put(other, [1], .never, if: .any)
        let longKey = StoreKey(
            ConformanceRun.keyspace,
            bytes: [[UInt8](repeating: 1, count: limits.maxKeyBytes + 1)]
        )
        for write in [
            StoreWrite.put(longKey, [1], .never, if: .any), .check(longKey, .any), .delete(longKey, if: .any),
        ] {
            try await run.rejected("a key that is too long") { try await run.store.commit([harmless, write]) }
            try await run.rejected("a single write of a key that is too long") { try await run.store.commit(write) }
        }
        try await run.rejected("a key that is too long") { try await run.store.get([longKey]) }
        let add = AtomicUpdate.add(1, within: 0...10, expiry: .seconds(60))
        try await run.rejected("a key that is too long") {
            try await run.store.update([(other, add), (longKey, add)])
        }
        try await run.rejected("a single update of a key that is too long") {
            try await run.store.update(longKey, add)
        }
        let longValue = [UInt8](repeating: 1, count: limits.maxValueBytes + 1)
        try await run.rejected("a value that is too long") {
            try await run.store.commit([harmless, .put(run.key("long"), longValue, .never, if: .any)])
        }
        try await run.rejected("a single value that is too long") {
            try await run.store.commit(.put(run.key("long"), longValue, .never, if: .any))
        }
        let keys = (0...limits.maxWrites).map { run.key("\($0)") }
        try await run.rejected("a commit of too many writes") {
            try await run.store.commit(keys.map { .put($0, [1], .never, if: .any) })
        }
        try await run.rejected("too many updates") {
            try await run.store.update(keys.map { (key: $0, update: add) })
        }
        let page = try await run.store.scan(StoreKey(ConformanceRun.keyspace), after: nil, limit: 10)
        try run.expect(page.entries.count, is: 0, "the entries after calls that were rejected")
    }

    /// The largest capacity that the check tests.
    private static let mostEntries = 1_000

    private static func capacity(_ run: ConformanceRun) async throws {
        let (renewed, update) = (run.key("renewed"), AtomicUpdate.add(1, within: 0...9, expiry: .seconds(3600)))
        try await run.put(renewed, [0])
        func isRejected(_ number: Int, _ expiry: Expiry) async throws -> Bool {
            do {
                try await run.put(run.key("fill", "\(10_000 + number)"), [1], expiry)
                return false
            } catch let error as StoreError where error.reason == .capacityExceeded {
                return true
            }
        }
        var count = 0
        while count < mostEntries, try await !isRejected(count, .never) { count += 1 }
        // A store that evicts an old entry for a new entry loses a claim.
        for number in 0..<count {
            try await run.expect(run.key("fill", "\(10_000 + number)"), holds: [1], "one of \(count) entries")
        }
        if count == mostEntries { return }
        try run.expect(count > 0, "a store rejected its second entry")
        try await run.rejected("an update in a full store", as: .capacityExceeded) {
            try await run.store.update([(run.key("new counter"), update)])
        }
        try await run.rejected("a single update in a full store", as: .capacityExceeded) {
            try await run.store.update(run.key("new counter"), update)
        }
        try await run.rejected("a single write in a full store", as: .capacityExceeded) {
            try await run.store.commit(.put(run.key("new"), [1], .never, if: .absent))
        }
        try await run.rejected("a commit with an existing and a new entry", as: .capacityExceeded) {
            try await run.store.commit([
                .put(renewed, [9], .never, if: .any), .put(run.key("new"), [1], .never, if: .any),
            ])
        }
        try await run.expect(renewed, holds: [0], "after a commit found no room")
        try await run.put(renewed, [1])
        for number in 0..<count {
            try await run.expect(run.key("fill", "\(10_000 + number)"), holds: [1], "an entry in a full store")
        }
        // A delete makes room for an entry, and so does an expiry.
        try await run.committed([.delete(run.key("fill", "10000"), if: .present)])
        // If time does not stand still, the entry must not end before the next entry is rejected.
        let life = run.isExact ? Duration.milliseconds(10) : .seconds(5)
        try run.expect(try await !isRejected(count, .after(life)), "a delete made no room")
        try run.expect(try await isRejected(count + 1, .never), "a delete made room for two")
        try await run.advance(life + .milliseconds(10))
        try run.expect(try await !isRejected(count + 1, .never), "an expired entry made no room")
        try run.expect(try await isRejected(count + 2, .never), "an expired entry made room for two")
    }
}
