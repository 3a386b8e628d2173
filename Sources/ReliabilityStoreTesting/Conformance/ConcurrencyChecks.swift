internal import ReliabilityCore
internal import ReliabilityStore
internal import ReliabilityTesting

extension StoreConformance {
    static let concurrencyChecks = [
        Check(
            "concurrency.createOnce",
            "of many tasks that create a key, exactly one succeeds, and the others see its entry",
            createOnce
        ),
        Check("concurrency.compareAndSet", "of many compare-and-set increments, none is lost", compareAndSet),
        Check(
            "concurrency.touch",
            "concurrent touches and writes of an entry do not undo each other",
            concurrentTouches
        ),
        Check(
            "concurrency.updates",
            "of many updates, exactly the number allowed by the limit is made",
            concurrentUpdates
        ),
        Check(
            "concurrency.deletes",
            "concurrent updates and deletes of an entry do not undo each other",
            updatesAndDeletes
        ),
        Check("concurrency.snapshot", "a read of several keys sees every commit whole or not at all", snapshot),
        Check(
            "concurrency.linearizable",
            "reads and updates of a counter have an order that agrees with real time",
            linearizable
        ),
        Check("concurrency.expiry", "a value and its expiry are read together or not at all", valueWithItsEnd),
        Check(
            "concurrency.versions",
            "the version of a key never decreases during concurrent writes",
            versionsNeverGoBack
        ),
        Check(
            "concurrency.keyOrder",
            "commits and updates of the same keys in different orders all succeed",
            keysInAnyOrder
        ),
        Check(
            "concurrency.checks",
            "the condition of a check holds until the commit is made, not only before the commit",
            checksHold
        ),
    ]

    private static let taskCount = 64

    private static func createOnce(_ run: ConformanceRun) async throws {
        for round in 0..<10 {
            let key = run.key("claim", "\(round)")
            let results = try await withThrowingTaskGroup { group in
                for number in 0..<taskCount {
                    group.addTask {
                        try await run.store.commit([.put(key, [UInt8(number)], .after(.seconds(3600)), if: .absent)])
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let entry = try await run.store.get(key)
            var winners = 0
            for result in results {
                switch result {
                case .committed(let versions):
                    winners += 1
                    try run.expect(versions, is: [entry?.version], "the winner's version")
                case .conflict(_, let current):
                    try run.expect(current?.version, is: entry?.version, "the version in a loser's conflict")
                    try run.expect(current?.value, is: entry?.value, "the value in a loser's conflict")
                }
            }
            try run.expect(winners, is: 1, "the number of \(taskCount) tasks that created the key")
        }
    }

    private static func compareAndSet(_ run: ConformanceRun) async throws {
        let key = run.key("count")
        let versions = try await withThrowingTaskGroup { group in
            for _ in 0..<taskCount {
                group.addTask {
                    try await run.store.modify(key, expiry: .never, maxAttempts: 10_000) { value in
                        number((value.flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0) + 1)
                    }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        try await run.expect(key, holds: number(taskCount), "after \(taskCount) increments")
        try run.expect(
            Set(versions).count,
            is: taskCount,
            "the number of different versions after \(taskCount) increments"
        )
    }

    private static func concurrentTouches(_ run: ConformanceRun) async throws {
        let key = run.key("count")
        try await run.put(key, number(0))
        try await withThrowingTaskGroup { group in
            for _ in 0..<taskCount / 2 {
                group.addTask {
                    _ = try await run.store.modify(key, expiry: .keep, maxAttempts: 10_000) { value in
                        number((value.flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0) + 1)
                    }
                }
                group.addTask {
                    for _ in 0..<4 {
                        try await run.committed([.touch(key, .after(.seconds(3600)), if: .present)])
                    }
                }
            }
            try await group.waitForAll()
        }
        let increments = taskCount / 2
        let entry = try await run.expect(key, holds: number(increments), "after \(increments) increments among touches")
        try run.expect(
            entry?.remaining != nil,
            "an entry lost its expiry after touches and after writes that keep the expiry"
        )
    }

    /// A deleted counter begins again at 1.
    ///
    /// The number of beginnings is the number of deletes, plus 1 if the counter exists at the end.
    private static func updatesAndDeletes(_ run: ConformanceRun) async throws {
        let key = run.key("counter")
        let add = AtomicUpdate.add(1, within: 0...(.max), expiry: .seconds(3600))
        let updaters = taskCount / 4
        let ended = ConcurrencyCounter()
        let (counts, deletes) = try await withThrowingTaskGroup { group in
            for task in 0..<updaters + 4 {
                group.addTask { () -> (counts: [Int64], deletes: Int) in
                    var counts: [Int64] = []
                    var deletes = 0
                    if task < updaters {
                        defer { ended.increment() }
                        for _ in 0..<8 {
                            counts.append(try await run.store.update(key, add).remaining)
                        }
                    }
                    while task >= updaters, ended.value < updaters {
                        if case .committed = try await run.store.commit([.delete(key, if: .present)]) { deletes += 1 }
                        // Without the yield, a store that never suspends would leave no thread to the updates.
                        await Task.yield()
                    }
                    return (counts, deletes)
                }
            }
            return try await group.reduce(into: ([Int64](), 0)) { $0 = ($0.0 + $1.counts, $0.1 + $1.deletes) }
        }
        let runs = deletes + (try await run.store.get(key) == nil ? 0 : 1)
        let beginnings = counts.count { $0 == 1 }
        try run.expect(beginnings, is: runs, "the number of beginnings of a counter that was deleted \(deletes) times")
    }

    private static func concurrentUpdates(_ run: ConformanceRun) async throws {
        let hour = Duration.seconds(3600)
        let updates: [AtomicUpdate] = [
            .fixedWindow(length: hour, limit: 20, cost: 1), .gcra(interval: hour, burst: 20, cost: 1),
            .add(1, within: 0...20, expiry: hour),
        ]
        for (index, update) in updates.enumerated() {
            let allowed = try await withThrowingTaskGroup { group in
                for task in 0..<taskCount {
                    group.addTask {
                        let key = run.key("limit", "\(index)")
                        if task % 2 == 0 { return try await run.store.update(key, update).isAllowed }
                        return try await run.store.update([(key, update)]).isApplied
                    }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            try run.expect(allowed, is: 20, "the number of \(taskCount) updates allowed by \(update)")
        }
    }

    private static func snapshot(_ run: ConformanceRun) async throws {
        let keys = (0..<3).map { run.key("together", "\($0)") }
        func writes(_ value: [UInt8]) -> [StoreWrite] { keys.map { .put($0, value, .never, if: .any) } }
        try await run.committed(writes([0]))
        try await withThrowingTaskGroup { group in
            for number in 0..<taskCount / 2 {
                group.addTask { _ = try await run.store.commit(writes([UInt8(number)])) }
                group.addTask {
                    for _ in 0..<8 {
                        let entries = try await run.read(keys)
                        let values = Set(entries.map { $0?.value })
                        try run.expect(
                            values.count,
                            is: 1,
                            "the number of different values of keys that are written together"
                        )
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private struct Observation {
        let begin: Int
        let end: Int
        let count: Int64
        let isIncrement: Bool
    }

    private static func linearizable(_ run: ConformanceRun) async throws {
        let key = run.key("counter")
        let ticks = ConcurrencyCounter()
        func observe(_ amount: Int64) async throws -> Observation {
            let begin = ticks.increment()
            let result = try await run.store.update([
                (key, .add(amount, within: 0...(.max), expiry: .seconds(3600)))
            ])
            let count = result.decisions.first?.remaining ?? -1
            return Observation(begin: begin, end: ticks.increment(), count: count, isIncrement: amount == 1)
        }
        let history = try await withThrowingTaskGroup { group in
            for task in 0..<16 {
                group.addTask {
                    var history: [Observation] = []
                    for step in 0..<16 { history.append(try await observe((task + step) % 3 == 0 ? 0 : 1)) }
                    return history
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        let increments = history.filter(\.isIncrement).map(\.count).sorted()
        try run.expect(
            increments,
            is: increments.indices.map { Int64($0 + 1) },
            "the numbers returned by the increments"
        )
        // Only one order explains the numbers: ascending, with each increment before the reads of its sum. This order
        // must not contradict the real times at which the operations began and ended.
        for first in history {
            for second in history where first.end < second.begin {
                let isOrdered = second.isIncrement ? first.count < second.count : first.count <= second.count
                try run.expect(
                    isOrdered,
                    "an operation returned \(second.count) although it began after another had returned \(first.count)"
                )
            }
        }
    }

    private static func valueWithItsEnd(_ run: ConformanceRun) async throws {
        let key = run.key("entry")
        func life(_ hours: UInt8) -> Expiry { hours == 0 ? .never : .after(.seconds(3600 * Int64(hours))) }
        try await run.put(key, [0], life(0))
        try await withThrowingTaskGroup { group in
            for task in 0..<taskCount / 2 {
                group.addTask {
                    let counter = run.key("counter", "\(task)")
                    for step in 0..<8 {
                        let hours = UInt8((task + step) % 4)
                        _ = try await run.store.commit([.put(key, [hours], life(hours), if: .any)])
                        if step > 0 { continue }
                        let add = AtomicUpdate.add(1, within: 0...9, expiry: .seconds(3600))
                        _ = try await run.store.update([(counter, add)])
                    }
                }
                group.addTask {
                    for _ in 0..<16 {
                        let entries = try await run.read([key, run.key("counter", "\(task)")])
                        guard let entry = entries[0], let hours = entry.value.first else {
                            throw run.violation("an entry was missing while it was overwritten")
                        }
                        let most = Duration.seconds(3600 * Int64(hours)) + .milliseconds(1)
                        let isRight = entry.remaining.map { $0 <= most && $0 > most - .seconds(1800) } ?? (hours == 0)
                        try run.expect(
                            isRight,
                            "an entry written to live \(hours) h (0 is forever) was read with "
                                + (entry.remaining.map { "\($0) left" } ?? "no end")
                        )
                        let isCounted = entries[1].map { $0.remaining != nil } ?? true
                        try run.expect(isCounted, "a counter was read without an expiry")
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private static func versionsNeverGoBack(_ run: ConformanceRun) async throws {
        let key = run.key("hot")
        try await run.put(key, [0])
        let issued = try await withThrowingTaskGroup { group in
            for task in 0..<taskCount / 2 {
                group.addTask {
                    var versions: [StoreVersion] = []
                    for _ in 0..<8 {
                        let version = try await run.put(key, [UInt8(task)])
                        try run.expect(
                            versions.last.map { $0 < version } ?? true,
                            "a put did not return a later version than the put before"
                        )
                        versions.append(version)
                    }
                    return versions
                }
                group.addTask {
                    var last = StoreVersion(rawValue: 0)
                    for _ in 0..<16 {
                        guard let version = try await run.store.get(key)?.version else {
                            throw run.violation("an entry was missing while it was overwritten")
                        }
                        try run.expect(version >= last, "version \(version) was read after \(last)")
                        last = version
                    }
                    return []
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        try run.expect(Set(issued).count, is: issued.count, "the number of different versions of \(issued.count) puts")
        let entry = try await run.store.get(key)
        try run.expect(
            entry?.version,
            is: issued.max(),
            "the version of an entry, compared with the last version that was issued"
        )
    }

    /// Makes two concurrent commits, of which at most one may be made.
    private static func checksHold(_ run: ConformanceRun) async throws {
        for round in 0..<taskCount {
            let (left, right) = (run.key("left", "\(round)"), run.key("right", "\(round)"))
            let present = round % 2 == 1
            if present {
                try await run.committed([.put(left, [0], .never, if: .absent), .put(right, [0], .never, if: .absent)])
            }
            @Sendable func make(_ mine: StoreKey, _ other: StoreKey) async throws -> Bool {
                // In even rounds, each task creates its key if the other key is absent. In odd rounds, each task
                // deletes its key if the other key is present.
                let writes: [StoreWrite] =
                    present
                    ? [.check(other, .present), .delete(mine, if: .present)]
                    : [.check(other, .absent), .put(mine, [1], .never, if: .absent)]
                guard case .committed = try await run.store.commit(writes) else { return false }
                return true
            }
            async let first = make(left, right)
            async let second = make(right, left)
            let (isFirst, isSecond) = try await (first, second)
            try run.expect(
                !(isFirst && isSecond),
                "two commits were made although each contradicts the check of the other"
            )
            try run.expect(isFirst || isSecond, "neither of two commits was made")
        }
    }

    private static func keysInAnyOrder(_ run: ConformanceRun) async throws {
        let keys = (0..<4).map { run.key("entry", "\($0)") }
        let counters = (0..<3).map { run.key("counter", "\($0)") }
        let add = AtomicUpdate.add(1, within: 0...(.max), expiry: .seconds(3600))
        try await withThrowingTaskGroup { group in
            for task in 0..<taskCount {
                group.addTask {
                    for step in 0..<4 {
                        // Each task begins with another key. Half of the tasks use the reverse order.
                        func inOrder(_ keys: [StoreKey]) -> [StoreKey] {
                            let start = (task + step) % keys.count
                            let turned = Array(keys[start...] + keys[..<start])
                            return task % 2 == 0 ? turned : turned.reversed()
                        }
                        let value = [UInt8(task), UInt8(step)]
                        try await run.committed(inOrder(keys).map { .put($0, value, .never, if: .any) })
                        let result = try await run.store.update(inOrder(counters).map { (key: $0, update: add) })
                        try run.expect(result.isApplied, "an update within its limit was denied")
                    }
                }
            }
            try await group.waitForAll()
        }
        let values = try await run.read(keys).map { $0?.value }
        try run.expect(Set(values).count, is: 1, "the number of different values of keys that are written together")
        let counts = try await run.store.update(
            counters.map { (key: $0, update: .add(0, within: 0...(.max), expiry: .seconds(1))) }
        )
        let expected = Int64(taskCount * 4)
        try run.expect(counts.decisions.map(\.remaining), is: [expected, expected, expected], "the counters")
    }
}
