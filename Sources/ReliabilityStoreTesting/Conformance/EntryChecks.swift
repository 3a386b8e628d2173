internal import ReliabilityCore
internal import ReliabilityStore
internal import ReliabilityTesting

extension StoreConformance {
    static let entryChecks = [
        Check(
            "entries.roundTrip",
            "a read returns the value of a put, an empty value is not a missing entry, and a delete removes an entry",
            roundTrip
        ),
        Check("entries.keysByBytes", "keys are compared by their bytes only", keysByBytes),
        Check(
            "entries.history",
            "a random history of reads and commits matches a simple model",
            needs: [.exactTime],
            entryHistory
        ),
        Check(
            "entries.cancelled",
            "a read by a cancelled task returns the stored entries or is rejected, and never misses an entry",
            cancelledReads
        ),
        Check(
            "versions.increase",
            "versions increase for the whole life of the store and are never used again",
            versionsIncrease
        ),
        Check("versions.touch", "a touch keeps the version and the value", touchKeepsVersion),
        Check(
            "versions.fence",
            "a replaced version satisfies no condition",
            replacedVersionsFence
        ),
        Check(
            "capabilities.owner",
            "limits are not below their minimum, and no issued version counts as a version of an earlier owner",
            capabilities
        ),
    ]

    private static func roundTrip(_ run: ConformanceRun) async throws {
        let (first, second, third) = (run.key("first"), run.key("second"), run.key("third"))
        try await run.expect(first, holds: nil, "before the first put")
        let values: [[UInt8]] = [[], [0], [0, 0], Array(0...255), [UInt8](repeating: 7, count: 4096)]
        for value in values {
            let version = try await run.put(first, value)
            let entry = try await run.expect(first, holds: value, "after a put")
            try run.expect(entry?.version, is: version, "the version read after a put")
            try run.expect(entry?.remaining, is: nil, "the remaining life of an entry without expiry")
        }
        try await run.put(third, [3])
        let entries = try await run.read([third, second, first, third])
        let last = values.last
        try run.expect(
            entries.map { $0?.value },
            is: [[3], nil, last, [3]],
            "the entries for four keys in the order of the keys"
        )
        try run.expect(try await run.store.get([]).count, is: 0, "the entries for no keys")
        let deleted = try await run.committed([.delete(first, if: .any), .delete(second, if: .any)])
        try run.expect(deleted, is: [nil, nil], "the versions of deleted entries")
        try await run.expect(first, holds: nil, "after a delete")
        try await run.expect(third, holds: [3], "an entry beside a deleted one")
        try run.expect(try await run.committed([]), is: [], "the versions of an empty commit")
    }

    private static func keysByBytes(_ run: ConformanceRun) async throws {
        let space = ConformanceRun.keyspace
        var keys: [StoreKey] = [
            StoreKey(space), StoreKey("conformanc", "e"), StoreKey("Conformance"),
            // Components carry their lengths.
            run.key("a", "bc"), run.key("ab", "c"), run.key("abc"), run.key("a", "b", "c"), run.key("a", "bc", ""),
            StoreKey(space, bytes: [[1, 0x61, 1, 0x62]]), StoreKey(space, bytes: [[0x61], [0x62]]),
            // Canonically equivalent strings with different bytes.
            run.key("\u{C5}"), run.key("A\u{30A}"), run.key("\u{212B}"),
            run.key("e\u{301}"), run.key("\u{E9}"), run.key("ß"), run.key("SS"), run.key("ss"),
        ]
        for byte in UInt8.min ... .max where byte != 0x61 { keys.append(StoreKey(space, bytes: [[byte]])) }
        // Lengths at which a key or a store may change its representation.
        for count in Array(0...40) + [127, 128, 129, 255, 256, 257] {
            keys.append(StoreKey(space, bytes: [[9], [UInt8](repeating: 0, count: count)]))
            keys.append(StoreKey(space, bytes: [[9, 9], [UInt8](repeating: 0xFF, count: count)]))
        }
        keys.append(run.key("a"))
        try run.expect(Set(keys).count, is: keys.count, "the keys of this check")
        for (index, key) in keys.enumerated() { try await run.put(key, number(index), if: .absent) }
        for (index, key) in keys.enumerated() { try await run.expect(key, holds: number(index), "key \(index)") }
        try await run.committed([.delete(keys[0], if: .present)])
        for (index, key) in keys.enumerated().dropFirst() {
            try await run.expect(key, holds: number(index), "key \(index) after another was deleted")
        }
    }

    private static func cancelledReads(_ run: ConformanceRun) async throws {
        let key = run.key("there")
        try await run.put(key, [1])
        func cancelled<Success: Sendable>(
            _ operation: @escaping @Sendable () async throws -> Success
        ) async throws -> Success? {
            let task = Task {
                await suspendUntilCancelled()
                return try await operation()
            }
            task.cancel()
            do { return try await task.value } catch let error as StoreError where error.reason == .cancelled {
                return nil
            }
        }
        if let entries = try await cancelled({ try await run.read([key]) }) {
            try run.expect(entries.map { $0?.value }, is: [[1]], "the entries read by a cancelled task")
        }
        if let page = try await cancelled({ try await run.store.scan(key, after: nil, limit: 9) }) {
            try run.expect(page.entries.map(\.key), is: [key], "the keys scanned by a cancelled task")
        }
        guard let store = run.store as? any RecordStore else { return }
        _ = try await store.enqueue([record("a")])
        if let counts = try await cancelled({ try await store.counts(queue) }) {
            try run.expect(
                counts,
                is: RecordCounts(pending: 1, deadLetters: 0),
                "the records counted by a cancelled task"
            )
        }
        if let page = try await cancelled({ try await store.page(queue, .pending, after: nil, limit: 9) }) {
            try run.expect(page.records.map(\.id), is: ["a"], "the records on a page read by a cancelled task")
        }
        // No due record would be `nil`.
        if let due = try await cancelled({ try await store.nextDue(queue) ?? .seconds(1) }) {
            try run.expect(due <= .zero, "a cancelled task reads that the next record is due in \(due)")
        }
    }

    private static func versionsIncrease(_ run: ConformanceRun) async throws {
        var last = StoreVersion(rawValue: 0)
        func expectLater(_ version: StoreVersion?, _ what: String) throws {
            guard let version else { throw run.violation("\(what) has no version") }
            try run.expect(version > last, "\(what) has version \(version) after \(last)")
            last = version
        }
        let (first, second, third) = (run.key("first"), run.key("second"), run.key("third"))
        for round in 1...3 {
            try expectLater(try await run.put(first, [1]), "a put")
            try expectLater(try await run.put(second, [1]), "a put of another key")
            try expectLater(try await run.put(first, [1]), "a put of the same value")
            try await run.committed([.delete(first, if: .any), .delete(second, if: .any)])
            try expectLater(try await run.put(first, [1]), "a put after a delete")
            try expectLater(
                try await run.put(second, [1], .after(.milliseconds(10))),
                "a put of an entry with an expiry"
            )
            try await run.advance(.milliseconds(20))
            try expectLater(try await run.put(second, [1], if: .absent), "a put after an expiry")
            let both = try await run.committed([.put(first, [2], .never, if: .any), .put(third, [2], .never, if: .any)])
            let sorted = both.compactMap { $0 }.sorted()
            try run.expect(Set(sorted).count, is: 2, "the number of different versions in a commit of two puts")
            for version in sorted { try expectLater(version, "a put in a commit in round \(round)") }
            _ = try await run.store.update([(third, .add(1, within: 0...100, expiry: .seconds(60)))])
            try expectLater(try await run.store.get(third)?.version, "an updated entry")
        }
    }

    private static func touchKeepsVersion(_ run: ConformanceRun) async throws {
        let key = run.key("touched")
        let version = try await run.put(key, [1, 2], .after(.seconds(1)))
        for expiry in [Expiry.after(.seconds(5)), .never, .after(.seconds(2)), .keep] {
            let versions = try await run.committed([.touch(key, expiry, if: .version(version))])
            try run.expect(versions, is: [version], "the version returned by a touch")
            let entry = try await run.expect(key, holds: [1, 2], "after a touch")
            try run.expect(entry?.version, is: version, "the version after a touch")
        }
        let absent = run.key("absent")
        try run.expect(
            try await run.committed([.touch(absent, .never, if: .any)]),
            is: [nil],
            "the touch of an absent entry"
        )
        try await run.expect(absent, holds: nil, "after the touch of an absent entry")
    }

    private enum Replacement: CaseIterable { case rewritten, deletedAndCreated, expiredAndCreated }

    /// A late worker must find that its claim is replaced, even if the new claim has the same value.
    private static func replacedVersionsFence(_ run: ConformanceRun) async throws {
        for way in Replacement.allCases {
            let key = run.key("claim", "\(way)")
            let late = try await run.put(key, [1], way == .expiredAndCreated ? .after(.milliseconds(10)) : .never)
            if way == .expiredAndCreated { try await run.advance(.milliseconds(20)) }
            if way == .deletedAndCreated { try await run.committed([.delete(key, if: .version(late))]) }
            let owner = try await run.put(key, [1], if: way == .rewritten ? .version(late) : .absent)
            let before = try await run.store.get(key)
            let writes: [StoreWrite] = [
                .put(key, [2], .never, if: .version(late)), .delete(key, if: .version(late)),
                .touch(key, .after(.milliseconds(1)), if: .version(late)), .check(key, .version(late)),
            ]
            for write in writes {
                let current = try await run.conflicting([write])
                try run.expectSame(current, before, "the conflicting entry of \(write) after the entry was \(way)")
                try run.expectSame(try await run.store.get(key), before, "the owner's entry after \(write)")
            }
            try await run.put(key, [3], if: .version(owner))
        }
    }

    private static func capabilities(_ run: ConformanceRun) async throws {
        let first = run.store.capabilities
        for (limit, least, name) in [
            (first.maxKeyBytes, 512, "maxKeyBytes"), (first.maxValueBytes, 4096, "maxValueBytes"),
            (first.maxWrites, 16, "maxWrites"),
        ] {
            try run.expect(limit >= least, "\(name) is \(limit) and must be at least \(least)")
        }
        var issued = [try await run.put(run.key("first"), [1])]
        issued.append(try await run.put(run.key("first"), [1]))
        if let store = run.store as? any RecordStore {
            _ = try await store.enqueue([record("a")])
            issued += try await store.claim(queue, limit: 1, lease: .seconds(60)).map(\.token)
        }
        try run.expect(run.store.capabilities, is: first, "the capabilities after the first writes")
        // A claim below openedAt would immediately be taken over, as if it belonged to an earlier process.
        for version in issued {
            let isOwn = first.openedAt.map { version >= $0 } ?? true
            try run.expect(isOwn, "version \(version) was issued, below openedAt \(first.openedAt?.description ?? "")")
        }
    }

    static func number(_ number: Int) -> [UInt8] { Array("\(number)".utf8) }
}
