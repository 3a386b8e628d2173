internal import ReliabilityCore
internal import ReliabilityStore

extension StoreConformance {
    static let scanChecks = [
        Check(
            "scan.prefix",
            "a scan returns the keys that begin with all components of the prefix, in order",
            scanPrefix
        ),
        Check("scan.pages", "pages of any size together contain every entry once", scanPages),
        Check(
            "scan.whileWriting",
            "an unchanged entry appears exactly once while other entries change",
            scanWhileWriting
        ),
    ]

    /// Returns the keys on all pages of a scan.
    private static func scan(
        _ run: ConformanceRun,
        _ prefix: StoreKey,
        pagesOf limit: Int,
        between: () async throws -> Void = {}
    ) async throws -> [StoreKey] {
        var keys: [StoreKey] = []
        var after: StoreKey?
        for _ in 0..<1000 {
            let page = try await run.store.scan(prefix, after: after, limit: limit)
            try run.expect(page.entries.count <= limit, "a page of at most \(limit) has \(page.entries.count) entries")
            for (key, entry) in page.entries {
                try run.expect(keys.last.map { $0 < key } ?? true, "a scan is not in the order of its keys")
                try run.expect(key.hasPrefix(prefix), "a scan left its prefix")
                try run.expect(entry.value, is: [UInt8(truncatingIfNeeded: key.byteCount)], "a value in a scan")
                keys.append(key)
            }
            guard let next = page.next else { return keys }
            after = next
            try await between()
        }
        throw run.violation("a scan did not end in 1,000 pages")
    }

    private static func write(_ run: ConformanceRun, _ keys: [StoreKey]) async throws {
        for key in keys { try await run.put(key, [UInt8(truncatingIfNeeded: key.byteCount)]) }
    }

    private static func scanPrefix(_ run: ConformanceRun) async throws {
        let space = ConformanceRun.keyspace
        let keys: [StoreKey] = [
            run.key("a"), run.key("a", "1"), run.key("a", "1", "x"), run.key("a", "2"), run.key("a", ""), run.key("ab"),
            run.key("ab", "1"), run.key("b", "a"), run.key(""), run.key("", "a"), StoreKey("other", "a", "1"),
            StoreKey("conformance2", "a"), StoreKey(space, bytes: [[0x61], [0xFF, 0xFF]]),
            StoreKey(space, bytes: [[0x61], [0]]), StoreKey(space, bytes: [[0x61], [UInt8](repeating: 1, count: 200)]),
        ]
        try await write(run, keys)
        let prefixes = [
            StoreKey(space), run.key("a"), run.key("a", "1"), run.key("ab"), run.key(""), run.key("c"),
            StoreKey("other"), StoreKey("unknown"),
        ]
        for prefix in prefixes {
            let expected = keys.filter { $0.hasPrefix(prefix) }.sorted()
            try run.expect(try await scan(run, prefix, pagesOf: 100), is: expected, "a scan")
        }
        try run.expect(keys.filter { $0.hasPrefix(run.key("a")) }.count, is: 8, "the number of keys that begin with a")
        // A scan and a read return the same entry.
        try await run.committed([.touch(keys[1], .after(.seconds(3600)), if: .present)])
        for (key, entry) in try await run.store.scan(StoreKey(space), after: nil, limit: 100).entries {
            let read = try await run.store.get(key)
            try run.expectSame(entry, read, "an entry of a scan")
            try run.expect(
                entry.remaining == nil,
                is: read?.remaining == nil,
                "the absence of an expiry of an entry in a scan"
            )
        }
        // A scan can begin after an absent key.
        let page = try await run.store.scan(run.key("a"), after: run.key("a", "11"), limit: 100)
        let after = keys.filter { $0.hasPrefix(run.key("a")) && run.key("a", "11") < $0 }.sorted()
        try run.expect(page.entries.map(\.key), is: after, "a scan after an absent key")
    }

    private static func scanPages(_ run: ConformanceRun) async throws {
        let keys = (0..<23).map { run.key("page", "\($0)") }
        try await write(run, keys)
        for limit in [1, 2, 7, 22, 23, 24, 1000, .max] {
            try run.expect(try await scan(run, run.key("page"), pagesOf: limit), is: keys.sorted(), "pages of \(limit)")
        }
        for limit in [0, -1, Int.min] {
            try await run.rejected("a page with the limit \(limit)") {
                try await run.store.scan(run.key("page"), after: nil, limit: limit)
            }
        }
    }

    private static func scanWhileWriting(_ run: ConformanceRun) async throws {
        try await run.withSeeds { seed, random in
            let stable = (0..<20).map { run.key("while", "\(seed)", "stable \($0)") }
            let changing = (0..<20).map { run.key("while", "\(seed)", "other \($0)") }
            try await write(run, stable + changing)
            let seen = try await scan(run, run.key("while", "\(seed)"), pagesOf: 3) {
                for key in changing.shuffled(using: &random).prefix(5) {
                    switch Int.random(in: 0..<3, using: &random) {
                    case 0: try await write(run, [key])
                    case 1: try await run.committed([.delete(key, if: .any)])
                    default: try await run.committed([.touch(key, .after(.milliseconds(1)), if: .any)])
                    }
                }
                try await run.advance(.milliseconds(2))
            }
            try run.expect(seen.filter(stable.contains), is: stable.sorted(), "the unchanged entries")
        }
    }
}
