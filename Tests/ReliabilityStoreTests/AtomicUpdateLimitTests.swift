import ReliabilityStore
import ReliabilityTesting
import Testing

private let year = Duration.seconds(365 * 86_400)

/// An update and its state.
private struct Entry {
    let update: AtomicUpdate
    var state: [UInt8]?

    init(_ update: AtomicUpdate, state: [UInt8]? = nil) {
        self.update = update
        self.state = state
    }

    @discardableResult
    mutating func apply(at now: Int64) -> AtomicUpdate.Application {
        let application = update.apply(to: state, now: now)
        if let value = application.value { state = value }
        return application
    }

    /// Returns the number of consecutive updates that are allowed at one time.
    mutating func allowed(at now: Int64, atMost limit: Int = 1000) -> Int {
        for count in 0..<limit where !apply(at: now).decision.isAllowed { return count }
        return limit
    }
}

@Suite("AtomicUpdate limits")
struct AtomicUpdateLimitTests {
    private static let limits: [AtomicUpdate] = [
        .gcra(interval: .nanoseconds(10), burst: 5, cost: 1),
        .fixedWindow(length: .nanoseconds(50), limit: 5, cost: 1),
        .add(1, within: 0...5, expiry: .nanoseconds(50)),
    ]

    @Test("GCRA admits the burst at one instant and the next update after exactly one interval", arguments: 1...5)
    func burst(size: Int) {
        var entry = Entry(.gcra(interval: .nanoseconds(10), burst: size, cost: 1))
        #expect(entry.allowed(at: 1000) == size)
        #expect(entry.allowed(at: 1009) == 0)
        #expect(entry.allowed(at: 1010) == 1)
        #expect(entry.allowed(at: 1010 + Int64(size) * 10) == size)
    }

    @Test("a window admits its limit until exactly its end")
    func windowBoundary() {
        var entry = Entry(.fixedWindow(length: .nanoseconds(50), limit: 3, cost: 1))
        #expect(entry.allowed(at: 1000) == 3)
        #expect(entry.allowed(at: 1049) == 0)
        #expect(entry.allowed(at: 1050) == 3)
    }

    @Test("a counter stays within its range and expires")
    func counter() {
        var up = Entry(.add(2, within: 0...5, expiry: .nanoseconds(50)))
        #expect(up.allowed(at: 0) == 2)
        #expect(up.allowed(at: 49) == 0)
        #expect(up.allowed(at: 50) == 2)
        let down = AtomicUpdate.add(-3, within: 0...5, expiry: .nanoseconds(50)).apply(to: up.state, now: 60)
        #expect(down.decision.remaining == 1)
        let never = AtomicUpdate.add(6, within: 0...5, expiry: .nanoseconds(50)).apply(to: nil, now: 0)
        #expect(!never.decision.isAllowed && never.decision.retryAfter == nil)
    }

    @Test("a denied update changes nothing", arguments: limits)
    func deniedChangesNothing(limit: AtomicUpdate) {
        var entry = Entry(limit)
        #expect(entry.allowed(at: 0) == 5)
        let state = entry.state
        for now in Int64(0)..<10 { #expect(entry.apply(at: now).value == nil) }
        #expect(entry.state == state)
    }

    @Test("retryAfter is exact to the nanosecond", arguments: limits)
    func retryAfterIsExact(limit: AtomicUpdate) throws {
        var entry = Entry(limit)
        _ = entry.allowed(at: 7)
        let wait = try #require(entry.apply(at: 9).decision.retryAfter?.components.attoseconds) / 1_000_000_000
        #expect(!limit.apply(to: entry.state, now: 9 + wait - 1).decision.isAllowed)
        #expect(limit.apply(to: entry.state, now: 9 + wait).decision.isAllowed)
    }

    @Test("a cost above the limit is denied without a retryAfter")
    func neverSatisfiable() {
        for update in [
            AtomicUpdate.gcra(interval: .seconds(1), burst: 5, cost: 6),
            .gcra(interval: .seconds(1), burst: 5, cost: .max),
            .fixedWindow(length: .seconds(1), limit: 5, cost: 6),
            .fixedWindow(length: .seconds(1), limit: 5, cost: .max),
        ] {
            let decision = update.apply(to: nil, now: 0).decision
            #expect(!decision.isAllowed && decision.retryAfter == nil && decision.remaining == 5)
        }
    }

    @Test(
        "a clock that steps back admits nothing more",
        arguments: limits,
        [Duration.nanoseconds(1), .seconds(1), year]
    )
    func stepBack(limit: AtomicUpdate, by step: Duration) {
        var entry = Entry(limit)
        let now = 2 * Int64(year.components.seconds) * 1_000_000_000
        let before = now - step.components.seconds * 1_000_000_000 - step.components.attoseconds / 1_000_000_000
        #expect(entry.allowed(at: now) == 5)
        for _ in 0..<10 {
            #expect(entry.allowed(at: before) == 0)
            #expect(entry.allowed(at: now - 1) <= 5)
        }
    }

    @Test("a clock that was a year ahead blocks a key for at most one period", arguments: limits)
    func yearAhead(limit: AtomicUpdate) {
        var entry = Entry(limit)
        let ahead = Int64(year.components.seconds) * 1_000_000_000
        #expect(entry.allowed(at: ahead) == 5)
        for now in Int64(0)..<50 where entry.allowed(at: now) > 5 { Issue.record("granted more than the limit") }
        #expect(entry.allowed(at: 50) > 0)
        #expect(entry.allowed(at: 100) > 0)
    }

    @Test("a value of another format counts as no value", arguments: limits)
    func garbage(limit: AtomicUpdate) {
        var generator = SeededGenerator(seed: 11)
        for length in 0..<40 {
            var state = (0..<length).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            if let first = state.first, (1...3).contains(first) { state[0] = 0 }
            var entry = Entry(limit, state: state)
            #expect(entry.allowed(at: 1000) == 5)
        }
    }

    @Test("damaged state blocks a key for at most one period", arguments: limits)
    func damaged(limit: AtomicUpdate) throws {
        var generator = SeededGenerator(seed: 12)
        var entry = Entry(limit)
        entry.apply(at: 0)
        let tag = try #require(entry.state?.first)
        for _ in 0..<500 {
            entry.state =
                [tag]
                + (0..<16).map { _ in
                    [0, 0x7F, 0x80, 0xFF, .random(in: 0...255, using: &generator)].randomElement(using: &generator) ?? 0
                }
            let now = Int64.random(in: 0...1_000_000, using: &generator)
            entry.apply(at: now)
            #expect(entry.allowed(at: now + 50) > 0)
            #expect(entry.allowed(at: now + 100) > 0)
        }
    }

    @Test("extreme numbers give valid decisions and do not trap")
    func extremes() {
        let numbers: [Int64] = [.min, .min + 1, -1, 0, 1, 2, 1 << 31, 1 << 32, 1 << 40, .max / 2, .max - 1, .max]
        let durations = [
            Duration.zero, .nanoseconds(1), .seconds(10 * 31_536_000), .seconds(Int64.max), .seconds(Int64.min),
        ]
        var updates: [AtomicUpdate] = []
        for duration in durations {
            for number in numbers {
                for cost in numbers {
                    updates.append(.gcra(interval: duration, burst: Int(number), cost: Int(cost)))
                    updates.append(.fixedWindow(length: duration, limit: Int(number), cost: Int(cost)))
                    updates.append(.add(cost, within: min(number, 0)...max(number, 0), expiry: duration))
                }
            }
        }
        for update in updates {
            for start in numbers {
                var entry = Entry(update)
                for now in [start, .max, start, .min, 0] {
                    let application = entry.apply(at: now)
                    let decision = application.decision
                    var isSane = application.expiresAfter > .zero && decision.resetAfter >= .zero
                    if case .add = update {} else { isSane = isSane && decision.remaining >= 0 }
                    if let wait = decision.retryAfter { isSane = isSane && wait > .zero && !decision.isAllowed }
                    if !isSane { Issue.record("\(update) at \(now): \(application)") }
                }
            }
        }
    }

    @Test("an update whose sum overflows is denied")
    func overflowIsDenied() {
        var sum = Entry(.add(.max, within: 0 ... .max, expiry: .seconds(1)))
        #expect(sum.allowed(at: 0) == 1)
        var window = Entry(.fixedWindow(length: .seconds(1), limit: .max, cost: .max))
        #expect(window.allowed(at: 0) == 1)
        var bucket = Entry(.gcra(interval: .nanoseconds(1 << 40), burst: 1 << 40, cost: 1 << 39))
        #expect(bucket.allowed(at: 0) == 0)
        // The clock ends in the year 2262, so only a part of the 250 years is allowed.
        var years = Entry(.gcra(interval: year, burst: 250, cost: 1))
        #expect((200...250).contains(years.allowed(at: 1_800_000_000_000_000_000)))
    }

    @Test("a ten-year window keeps its count")
    func tenYears() {
        let now: Int64 = 1_800_000_000_000_000_000
        let nineYears = 9 * Int64(year.components.seconds) * 1_000_000_000
        var window = Entry(.fixedWindow(length: .seconds(10 * 31_536_000), limit: 2, cost: 1))
        #expect(window.allowed(at: now) == 2)
        #expect(window.allowed(at: now + nineYears) == 0)
        var bucket = Entry(.gcra(interval: .seconds(10 * 31_536_000), burst: 2, cost: 1))
        #expect(bucket.allowed(at: now) == 2)
        #expect(bucket.allowed(at: now + nineYears) == 0)
    }

    @Test("a hundred thousand steps admit one update per interval without drift")
    func noDrift() {
        var entry = Entry(.gcra(interval: .nanoseconds(333_333_334), burst: 3, cost: 1))
        var generator = SeededGenerator(seed: 3)
        var (now, allowed) = (Int64(0), entry.allowed(at: 0))
        for _ in 0..<100_000 {
            now += Int64.random(in: 0...600_000_000, using: &generator)
            // The steps are short, so the bucket is never full in between.
            allowed += entry.allowed(at: now)
        }
        #expect(allowed == 3 + Int(now / 333_333_334))
    }

    @Test("a denied update leaves the other update of its call uncounted")
    func allOrNothing() async throws {
        let store = InMemoryStore(clock: ManualClock())
        let (wide, narrow) = (StoreKey("test", "wide"), StoreKey("test", "narrow"))
        let updates: [(key: StoreKey, update: AtomicUpdate)] = [
            (wide, .fixedWindow(length: .seconds(60), limit: 10, cost: 1)),
            (narrow, .gcra(interval: .seconds(1), burst: 2, cost: 1)),
        ]
        var applied = 0
        for _ in 0..<5 where try await store.update(updates).isApplied { applied += 1 }
        #expect(applied == 2)
        let left = try await store.update([(wide, .fixedWindow(length: .seconds(60), limit: 10, cost: 1))])
        #expect(left.decisions.first?.remaining == 7)
    }
}
