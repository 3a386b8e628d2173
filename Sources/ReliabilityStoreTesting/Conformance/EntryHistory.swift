internal import ReliabilityCore
internal import ReliabilityStore
internal import ReliabilityTesting

/// A minimal model of a store's entries: a list, searched from its beginning.
///
/// The model differs from every store of this package, so that a mistake is not in both.
private struct ModelEntries {
    struct Entry {
        var key: StoreKey
        var value: [UInt8]
        var version: StoreVersion
        var end: Duration?
    }

    var now = Duration.zero
    private(set) var all: [Entry] = []

    func entry(_ key: StoreKey) -> Entry? {
        for entry in all where entry.key == key {
            if let end = entry.end, end <= now { return nil }
            return entry
        }
        return nil
    }

    /// Returns the index of the first write with a false condition.
    func conflict(_ writes: [StoreWrite]) -> Int? {
        for (index, write) in writes.enumerated() {
            let entry = entry(write.key)
            let condition: WriteCondition
            switch write {
            case .put(_, _, _, let given): condition = given
            case .delete(_, let given): condition = given
            case .touch(_, _, let given): condition = given
            case .check(_, let given): condition = given
            }
            if condition == .any { continue }
            if condition == .absent, entry == nil { continue }
            if condition == .present, entry != nil { continue }
            if let entry, condition == .version(entry.version) { continue }
            return index
        }
        return nil
    }

    mutating func make(_ writes: [StoreWrite], _ versions: [StoreVersion?]) {
        for (write, version) in zip(writes, versions) {
            let old = entry(write.key)
            if case .check = write { continue }
            all = all.filter { $0.key != write.key }
            switch write {
            case .put(let key, let value, let expiry, _):
                guard let version else { continue }
                all.append(Entry(key: key, value: value, version: version, end: end(expiry, old)))
            case .touch(_, let expiry, _):
                guard var entry = old else { continue }
                entry.end = end(expiry, old)
                all.append(entry)
            case .delete, .check: break
            }
        }
    }

    private func end(_ expiry: Expiry, _ old: Entry?) -> Duration? {
        switch expiry {
        case .never: nil
        case .after(let life): now + life
        case .keep: old?.end
        }
    }
}

extension StoreConformance {
    static func entryHistory(_ run: ConformanceRun) async throws {
        var latest = StoreVersion(rawValue: 0)
        try await run.withSeeds { seed, random in
            let prefix = run.key("history", "\(seed)")
            let keys = (0..<6).map { run.key("history", "\(seed)", "\($0)") }
            var model = ModelEntries()
            var issued: [StoreVersion] = []
            for step in 0..<300 {
                func check(_ entry: StoreEntry?, _ key: StoreKey) throws {
                    let expected = model.entry(key)
                    let what = "step \(step), key \(keys.firstIndex(of: key) ?? -1)"
                    try run.expect(entry?.value, is: expected?.value, what)
                    try run.expect(entry?.version, is: expected?.version, "\(what), its version")
                    // A store may round an end up to the next millisecond.
                    let left = expected?.end.map { $0 - model.now }
                    let isRight = zip(entry?.remaining, left).map { $0 >= $1 && $0 < $1 + .milliseconds(1) }
                    try run.expect(
                        isRight ?? (entry?.remaining == nil && left == nil),
                        "\(what) has \(entry?.remaining.map { "\($0)" } ?? "∞") left"
                    )
                }
                switch Int.random(in: 0..<10, using: &random) {
                case 0:
                    // Steps of 10 ms. Entries end 5 ms beside a step, see `randomWrite`.
                    let pause = Duration.milliseconds(10 * Int.random(in: 0...10, using: &random))
                    try await run.advance(pause)
                    model.now += pause
                case 1:
                    for (key, entry) in zip(keys, try await run.read(keys)) { try check(entry, key) }
                case 2:
                    let page = try await run.store.scan(prefix, after: nil, limit: 100)
                    let expected = keys.filter { model.entry($0) != nil }.sorted()
                    try run.expect(page.entries.map(\.key), is: expected, "step \(step), the keys of a scan")
                    for (key, entry) in page.entries { try check(entry, key) }
                default:
                    let count = Int.random(in: 1...3, using: &random)
                    let writes = keys.shuffled(using: &random).prefix(count).map { key in
                        // Its own version more often than one that it may have had before.
                        let own = model.entry(key)?.version ?? latest
                        let version = [own, own, issued.randomElement(using: &random) ?? own].randomElement(
                            using: &random
                        )
                        return randomWrite(key, version ?? own, &random)
                    }
                    switch (try await run.store.commit(writes), model.conflict(writes)) {
                    case (.conflict(let index, let current), let expected?):
                        try run.expect(index, is: expected, "step \(step), the index of a conflict")
                        try check(current, writes[expected].key)
                    case (.committed(let versions), nil):
                        try run.expect(versions.count, is: writes.count, "step \(step), the number of versions")
                        model.make(writes, versions)
                        for (write, version) in zip(writes, versions) {
                            try run.expect(version, is: model.entry(write.key)?.version, "step \(step), a version")
                            guard case .put = write, let version else { continue }
                            try run.expect(version > latest, "step \(step), version \(version) after \(latest)")
                            latest = version
                            issued = issued.suffix(9) + [version]
                        }
                    case (let result, let expected):
                        let wanted = expected.map { "a conflict at \($0)" } ?? "no conflict"
                        throw run.violation("step \(step): \(result) instead of \(wanted) for \(writes)")
                    }
                }
            }
        }
    }

    private static func randomWrite(
        _ key: StoreKey,
        _ version: StoreVersion,
        _ random: inout SeededGenerator
    ) -> StoreWrite {
        let conditions: [WriteCondition] = [.any, .any, .any, .absent, .present, .version(version)]
        let condition = conditions.randomElement(using: &random) ?? .any
        // 5 ms beside every instant at which an operation runs.
        let life = Duration.milliseconds(10 * Int.random(in: 1...20, using: &random) - 5)
        let expiry = [Expiry.never, .after(life), .after(life), .keep].randomElement(using: &random) ?? .never
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1: return .delete(key, if: condition)
        case 2: return .touch(key, expiry, if: condition)
        case 3: return .check(key, condition)
        default:
            let value = (0..<Int.random(in: 0...3, using: &random)).map { _ in UInt8.random(in: 0...9, using: &random) }
            return .put(key, value, expiry, if: condition)
        }
    }
}

/// Returns both values, or `nil` if a value is missing.
private func zip<First, Second>(_ first: First?, _ second: Second?) -> (First, Second)? {
    if let first, let second { (first, second) } else { nil }
}
