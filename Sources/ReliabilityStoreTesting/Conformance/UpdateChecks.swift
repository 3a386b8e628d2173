internal import ReliabilityCore
internal import ReliabilityStore
internal import ReliabilityTesting

extension StoreConformance {
    static let updateChecks = [
        Check(
            "updates.parity",
            "the decisions of random updates equal the decisions of AtomicUpdate.apply",
            needs: [.exactTime],
            updatesMatchDefinition
        ),
        Check("updates.allOrNothing", "if one of several updates is denied, none is made", updatesAreAllOrNothing),
        Check("updates.numbers", "counters are exact in all 64 bits", countersAreExact),
        Check("updates.entries", "an update writes an entry with a new version and an expiry", updatesAreEntries),
    ]

    private static func updatesMatchDefinition(_ run: ConformanceRun) async throws {
        try await run.withSeeds { seed, random in
            // Only the time between updates matters, not the date of the store.
            var now: Int64 = 1_000_000_000_000_000_000
            var states: [StoreKey: [UInt8]] = [:]
            let keys = (0..<4).map { run.key("parity", "\(seed)", "\($0)") }
            for step in 0..<200 {
                let count = Int.random(in: 1...3, using: &random)
                let updates = keys.shuffled(using: &random).prefix(count).map { key in
                    (key: key, update: randomUpdate(&random))
                }
                let expected = updates.map { $0.update.apply(to: states[$0.key], now: now) }
                let isApplied = expected.allSatisfy(\.decision.isAllowed)
                for (update, application) in zip(updates, expected) {
                    // A denied update changes nothing, except that it shortens a state from the far future.
                    guard let value = application.value else { continue }
                    if isApplied || !application.decision.isAllowed { states[update.key] = value }
                }
                var result = UpdateResult(isApplied: false, decisions: [])
                if updates.count == 1, Bool.random(using: &random) {
                    result = UpdateResult(try await run.store.update(updates[0].key, updates[0].update))
                } else {
                    result = try await run.store.update(updates)
                }
                try run.expect(result.decisions, is: expected.map(\.decision), "step \(step), \(updates.map(\.update))")
                try run.expect(result.isApplied, is: isApplied, "step \(step), isApplied")
                let pause = Int64.random(in: 0...1, using: &random) * Int64.random(in: 0...400_000_000, using: &random)
                now += pause
                try await run.advance(.nanoseconds(pause))
            }
        }
    }

    private static func randomUpdate(_ random: inout SeededGenerator) -> AtomicUpdate {
        let cost = Int.random(in: 0...3, using: &random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0: return .add(Int64.random(in: -5...5, using: &random), within: -7...7, expiry: .milliseconds(300))
        case 1: return .add(.max, within: 0...(.max), expiry: .milliseconds(150))
        case 2, 3: return .gcra(interval: .milliseconds(100), burst: 3, cost: cost)
        case 4: return .gcra(interval: .microseconds(33_333), burst: 1, cost: cost)
        case 5: return .gcra(interval: .seconds(Int64.max), burst: .max, cost: .max)
        default: return .fixedWindow(length: .milliseconds(250), limit: 4, cost: cost)
        }
    }

    private static func updatesAreAllOrNothing(_ run: ConformanceRun) async throws {
        let (first, second, third) = (run.key("first"), run.key("second"), run.key("third"))
        func add(_ amount: Int64) -> AtomicUpdate { .add(amount, within: 0...10, expiry: .seconds(3600)) }
        let made = try await run.store.update([(first, add(10)), (second, add(3))])
        try run.expect(made.isApplied, "two updates within their limits were denied")
        let before = try await run.read([first, second, third])
        for updates in [[(second, add(1)), (first, add(1)), (third, add(1))], [(first, add(1)), (third, add(2))]] {
            let denied = try await run.store.update(updates.map { (key: $0.0, update: $0.1) })
            try run.expect(!denied.isApplied, "updates were made although one of them is denied")
            let allowed = updates.map { $0.0 != first }
            try run.expect(denied.decisions.map(\.isAllowed), is: allowed, "the separate decisions of the updates")
        }
        for (old, new) in zip(before, try await run.read([first, second, third])) {
            try run.expectSame(new, old, "an entry after updates were denied")
        }
        let counts = try await run.store.update([(first, add(0)), (second, add(0)), (third, add(0))])
        try run.expect(counts.decisions.map(\.remaining), is: [10, 3, 0], "the counters")
        try run.expect(try await run.store.update([]).isApplied, "an empty list of updates was denied")
    }

    /// Checks counters at the bounds of 32-bit integers, floating-point numbers and 64-bit integers.
    private static func countersAreExact(_ run: ConformanceRun) async throws {
        for (number, start) in [Int64(1) << 31, 1 << 32, 1 << 53, .max - 4, -(1 << 53) - 4, .min].enumerated() {
            let key = run.key("large", "\(number)")
            for (step, amount) in [start, 1, 2, 1].enumerated() {
                let add = AtomicUpdate.add(amount, within: .min ... .max, expiry: .seconds(3600))
                let counts = try await run.store.update([(key, add)]).decisions.map(\.remaining)
                try run.expect(counts, is: [start + [0, 1, 3, 4][step]], "a counter that began at \(start)")
            }
        }
        let full = run.key("large", "3")
        let more = try await run.store.update([(full, .add(1, within: .min ... .max, expiry: .seconds(3600)))])
        try run.expect(
            more.decisions.map(\.isAllowed),
            is: [false],
            "the decision of an increment of the largest number"
        )
        try run.expect(more.decisions.map(\.remaining), is: [.max], "the counter at the largest number")
    }

    private static func updatesAreEntries(_ run: ConformanceRun) async throws {
        let key = run.key("counter")
        let version = try await run.put(key, Array("not a counter".utf8))
        let add = AtomicUpdate.add(2, within: 0...10, expiry: .milliseconds(500))
        let first = try await run.store.update(key, add)
        try run.expect(
            first.remaining,
            is: 2,
            "a counter that replaces a value that no update wrote"
        )
        let entry = try await run.store.get(key)
        try run.expect(entry?.version ?? version > version, "an update wrote no later version")
        if run.isExact {
            try run.expect(entry?.remaining != nil, "an update wrote an entry without an expiry")
            // The first update sets the end of the counter.
            try await run.advance(.milliseconds(250))
            _ = try await run.store.update([(key, add)])
            try await run.advance(.milliseconds(250))
        } else {
            try await run.advance(.milliseconds(510))
        }
        let again = try await run.store.update([(key, add)])
        try run.expect(again.decisions.map(\.remaining), is: [2], "a counter after its end")
        try await run.advance(.milliseconds(510))
        try await run.expect(key, holds: nil, "a counter after its end")
    }
}
