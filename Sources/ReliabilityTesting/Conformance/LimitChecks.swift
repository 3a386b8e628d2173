internal import ReliabilityCore
internal import ReliabilityStore

extension StoreConformance {
    static let limitChecks = [
        Check("limits.atLimit", "what is as large as the store's limits is stored", atLimits),
        Check(
            "limits.refused",
            "what exceeds the store's limits is refused as invalid, and nothing changes",
            beyondLimits
        ),
        Check(
            "limits.capacity",
            "a full store refuses what is new and changes nothing; deletes and expiry make room",
            capacity
        ),
    ]

    /// A key of exactly this many bytes.
    private static func key(bytes count: Int, last: UInt8) -> StoreKey? {
        let keys = (0...count).lazy.map { shorter in
            StoreKey(ConformanceRun.keyspace, bytes: [[UInt8](repeating: 9, count: count - shorter) + [last]])
        }
        return keys.first { $0.byteCount == count }
    }

    private static func atLimits(_ run: ConformanceRun) async throws {
        let limits = run.store.capabilities
        let value = [UInt8](repeating: 5, count: limits.maximumValueBytes)
        try await run.put(run.key("large"), value)
        try await run.expect(run.key("large"), holds: value, "the largest value")
        // The longest keys differ in their last bytes only: a store that keeps less of them takes one for the other.
        for last in UInt8(1)...3 {
            guard let key = key(bytes: limits.maximumKeyBytes, last: last) else { break }
            try await run.put(key, [last], if: .absent)
            try await run.expect(key, holds: [last], "the longest key")
        }
        let writes = (0..<limits.maximumWrites).map { StoreWrite.put(run.key("\($0)"), [2], .never, if: .absent) }
        try await run.committed(writes)
        try await run.expect(run.key("\(limits.maximumWrites - 1)"), holds: [2], "the last of the most writes")
        // How many keys are read at once has no limit.
        let read = try await run.read((0..<2 * limits.maximumWrites).map { run.key("\($0)") })
        let found = read.count { $0 != nil }
        try run.expect(found, is: limits.maximumWrites, "the entries for twice as many keys as one commit may write")
    }

    private static func beyondLimits(_ run: ConformanceRun) async throws {
        let limits = run.store.capabilities
        let other = run.key("other")
        let harmless = StoreWrite.put(other, [1], .never, if: .any)
        let longKey = StoreKey(
            ConformanceRun.keyspace,
            bytes: [[UInt8](repeating: 1, count: limits.maximumKeyBytes + 1)]
        )
        for write in [
            StoreWrite.put(longKey, [1], .never, if: .any), .check(longKey, .any), .delete(longKey, if: .any),
        ] {
            try await run.refused("a key that is too long") { try await run.store.commit([harmless, write]) }
        }
        try await run.refused("a key that is too long") { try await run.store.get([longKey]) }
        let add = AtomicUpdate.add(1, within: 0...10, expiry: .seconds(60))
        try await run.refused("a key that is too long") {
            try await run.store.update([(other, add), (longKey, add)])
        }
        let longValue = [UInt8](repeating: 1, count: limits.maximumValueBytes + 1)
        try await run.refused("a value that is too long") {
            try await run.store.commit([harmless, .put(run.key("long"), longValue, .never, if: .any)])
        }
        let keys = (0...limits.maximumWrites).map { run.key("\($0)") }
        try await run.refused("a commit of too many writes") {
            try await run.store.commit(keys.map { .put($0, [1], .never, if: .any) })
        }
        try await run.refused("too many updates") {
            try await run.store.update(keys.map { (key: $0, update: add) })
        }
        let page = try await run.store.scan(StoreKey(ConformanceRun.keyspace), after: nil, limit: 10)
        try run.expect(page.entries.count, is: 0, "the entries after calls that were refused")
    }

    /// Says nothing about a store that holds more than this.
    private static let mostEntries = 1_000

    private static func capacity(_ run: ConformanceRun) async throws {
        let (renewed, update) = (run.key("renewed"), AtomicUpdate.add(1, within: 0...9, expiry: .seconds(3600)))
        try await run.put(renewed, [0])
        func isRefused(_ number: Int, _ expiry: Expiry) async throws -> Bool {
            do {
                try await run.put(run.key("fill", "\(10_000 + number)"), [1], expiry)
                return false
            } catch let error as StoreError where error.reason == .capacityExceeded {
                return true
            }
        }
        var count = 0
        while count < mostEntries, try await !isRefused(count, .never) { count += 1 }
        // A store that gives up an old entry for a new one has lost a claim.
        for number in 0..<count {
            try await run.expect(run.key("fill", "\(10_000 + number)"), holds: [1], "one of \(count) entries")
        }
        if count == mostEntries { return }
        try run.expect(count > 0, "a store refused its second entry")
        try await run.refused("an update in a full store", as: .capacityExceeded) {
            try await run.store.update([(run.key("new counter"), update)])
        }
        try await run.refused("a commit of two, one of them new", as: .capacityExceeded) {
            try await run.store.commit([
                .put(renewed, [9], .never, if: .any), .put(run.key("new"), [1], .never, if: .any),
            ])
        }
        try await run.expect(renewed, holds: [0], "after a commit found no room")
        try await run.put(renewed, [1])
        for number in 0..<count {
            try await run.expect(run.key("fill", "\(10_000 + number)"), holds: [1], "in a full store")
        }
        // A delete makes room for one, and so does the end of a life.
        try await run.committed([.delete(run.key("fill", "10000"), if: .present)])
        // Where time goes on, it may not end before the next is refused.
        let life = run.isExact ? Duration.milliseconds(10) : .seconds(5)
        try run.expect(try await !isRefused(count, .after(life)), "a delete made no room")
        try run.expect(try await isRefused(count + 1, .never), "a delete made room for two")
        try await run.advance(life + .milliseconds(10))
        try run.expect(try await !isRefused(count + 1, .never), "an expired entry made no room")
        try run.expect(try await isRefused(count + 2, .never), "an expired entry made room for two")
    }
}
