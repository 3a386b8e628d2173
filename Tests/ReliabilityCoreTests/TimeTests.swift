import ReliabilityTesting
import Testing

@testable import ReliabilityCore

@Suite("Saturating arithmetic")
struct SaturatingTests {
    static let edges: [Int64] = [
        .min, .min + 1, -(1 << 62), -9_223_372_037, -1_000_000_001, -1_000_000_000, -999_999_999, -2, -1, 0, 1, 2,
        999_999_999, 1_000_000_000, 1_000_000_001, 9_223_372_036, 1 << 62, .max - 1, .max,
    ]

    private static func numbers(_ count: Int, seed: UInt64) -> [Int64] {
        var random = SeededGenerator(seed: seed)
        return edges
            + (0..<count).map { _ in
                // Of every magnitude, not only of the largest.
                Int64(bitPattern: random.next()) >> Int64.random(in: 0..<64, using: &random)
            }
    }

    @Test("sums, differences and products are those of wide integers, clamped")
    func operations() {
        let numbers = Self.numbers(200, seed: 1)
        for left in numbers {
            for right in numbers {
                let (wideLeft, wideRight) = (Int128(left), Int128(right))
                #expect(left.saturatingAdd(right) == Int64(clamping: wideLeft + wideRight), "\(left) + \(right)")
                #expect(left.saturatingSubtract(right) == Int64(clamping: wideLeft - wideRight), "\(left) - \(right)")
                #expect(left.saturatingMultiply(right) == Int64(clamping: wideLeft * wideRight), "\(left) * \(right)")
            }
        }
    }

    @Test("a duration is rounded up to whole units, and clamped")
    func conversion() {
        func roundedUp(_ attoseconds: Int128, _ unit: Int128) -> Int64 {
            // Division rounds towards zero, which is up for what is negative.
            Int64(clamping: attoseconds > 0 ? (attoseconds - 1) / unit + 1 : attoseconds / unit)
        }
        var random = SeededGenerator(seed: 2)
        var durations = Self.numbers(500, seed: 3).flatMap { number -> [Duration] in
            [.nanoseconds(number), .seconds(number), Duration(attoseconds: Int128(number))]
        }
        durations += (0..<500).map { _ in
            let bits = Int128(Int64(bitPattern: random.next())) << 60
            return Duration(attoseconds: bits >> Int128.random(in: 0..<120, using: &random))
        }
        // Around every bound: of a nanosecond, of what fits in an `Int64`, and of half of an `Int128`.
        for nanoseconds: Int128 in [-1, 0, 1, 1 << 31, 1 << 32, 1 << 62, 1 << 63] + [
            500_000_000 << 64, 499_999_999 << 64,
        ] {
            for offset: Int128 in [-1_000_000_001, -1_000_000_000, -999_999_999, -1, 0, 1, 999_999_999, 1_000_000_000] {
                durations.append(Duration(attoseconds: nanoseconds * 1_000_000_000 + offset))
                durations.append(Duration(attoseconds: nanoseconds + offset))
            }
        }
        for _ in 0..<20_000 {
            let high = Int128(
                Int64.random(in: 0..<500_000_001, using: &random) >> Int64.random(in: 0..<30, using: &random)
            )
            durations.append(Duration(attoseconds: high << 64 | Int128(random.next())))
        }
        for duration in durations {
            let attoseconds = duration.attoseconds
            #expect(duration.saturatingNanoseconds == roundedUp(attoseconds, 1_000_000_000), "\(attoseconds)")
        }
    }

    @Test("a duration past all bounds is clamped and does not trap")
    func extremes() {
        #expect(Duration(attoseconds: .max).saturatingNanoseconds == .max)
        #expect(Duration(attoseconds: .min).saturatingNanoseconds == .min)
        #expect(Duration.seconds(1e19).saturatingNanoseconds == .max)
    }
}

@Suite("TimeSource")
struct TimeSourceTests {
    let clock = ManualClock()

    @Test("a reading is the time since the source was made")
    func readings() {
        clock.advance(by: .seconds(5))
        let source = TimeSource(clock)
        #expect(source.now == 0)
        clock.advance(by: .nanoseconds(7))
        #expect(source.now == 7)
        #expect(source.instant(after: .microseconds(2)) == 2007)
        clock.advance(by: .seconds(Int64.max))
        #expect(source.instant(after: .seconds(Int64.max)) == .max)
    }

    @Test("a reading of the continuous source is one of `ContinuousClock`")
    func continuous() {
        let outer = ContinuousClock.now
        let first = TimeSource.continuous.now
        let inner = ContinuousClock.now
        var last = ContinuousClock.now
        while inner.duration(to: last) < .microseconds(10) { last = .now }
        let second = TimeSource.continuous.now
        #expect(Duration.nanoseconds(second - first) >= inner.duration(to: last))
        #expect(Duration.nanoseconds(second - first) <= outer.duration(to: .now))
    }

    @Test("sources of different clocks are told apart, and copies of one are not")
    func identity() {
        let source = TimeSource(clock)
        let copy = source
        #expect(source.identity == copy.identity)
        #expect(source.identity != TimeSource(ManualClock()).identity)
        #expect(TimeSource.continuous.identity == TimeSource(ContinuousClock()).identity)
        #expect(source.identity != TimeSource.continuous.identity)
    }

    @Test("a sleep ends at its instant")
    func sleeps() async throws {
        let source = TimeSource(clock)
        let sleeper = Task { try await source.sleep(for: .seconds(3)) }
        await clock.waitForSleepers(1)
        #expect(clock.timeToNextSleeper == .seconds(3))
        clock.advance(by: .seconds(3))
        try await sleeper.value
        try await source.sleep(until: 0)
        try await source.sleep(for: .seconds(-1))
    }

    @Test(
        "a sleep or a wait of nothing still notices that its task was cancelled",
        arguments: [Duration.zero, .seconds(1)]
    )
    func cancelled(duration: Duration) async {
        for source in [TimeSource(clock), .continuous] {
            let task = Task {
                unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() }
                try await source.sleep(for: duration)
            }
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }

    /// A clock that moves whenever it is read.
    private struct RestlessClock: Clock {
        let inner: ManualClock
        var now: ManualClock.Instant {
            inner.advance(by: .seconds(1))
            return inner.now
        }
        var minimumResolution: Duration { inner.minimumResolution }
        func sleep(until deadline: ManualClock.Instant, tolerance: Duration?) async throws {
            try await inner.sleep(until: deadline, tolerance: tolerance)
        }
    }

    @Test("a sleep ends at its instant even if the clock moves while the sleep is set up")
    func movingClock() async throws {
        let start = clock.now
        let source = TimeSource(RestlessClock(inner: clock))
        let sleeper = Task { try await source.sleep(until: Duration.seconds(100).saturatingNanoseconds) }
        await clock.waitForSleepers(1)
        let left = try #require(clock.timeToNextSleeper)
        // The source's origin is the clock's first reading, one second after the start.
        #expect(start.duration(to: clock.now) + left == .seconds(101))
        clock.advance(by: left)
        try await sleeper.value
    }

    @Test("a timer runs its action at its instant, on a manual clock and on the real one")
    func timers() async {
        let events = EventRecorder<String>()
        let source = TimeSource(clock)
        _ = source.timer(at: source.instant(after: .seconds(2))) { events.record("manual") }
        await clock.waitForSleepers(1)
        #expect(events.events == [])
        clock.advance(by: .seconds(2))
        #expect(await events.wait(for: 1) == ["manual"])
        _ = TimeSource.continuous.timer(at: TimeSource.continuous.now) { events.record("real") }
        #expect(await events.wait(for: 2) == ["manual", "real"])
    }

    @Test("a timer that is cancelled does not run")
    func timerCancelled() async {
        let events = EventRecorder<String>()
        let source = TimeSource(clock)
        let timer = source.timer(at: source.instant(after: .seconds(2))) { events.record("cancelled") }
        await clock.waitForSleepers(1)
        timer.cancel()
        #expect(clock.sleeperCount == 0)
        clock.advance(by: .seconds(2))
        #expect(events.events == [])
        TimeSource.continuous.timer(at: .max) { events.record("cancelled") }.cancel()
        #expect(events.events == [])
    }
}

/// A clock of somebody else's, on which nothing but sleeping is possible.
private struct PlainClock: Clock {
    let inner: ManualClock
    var now: ManualClock.Instant { inner.now }
    var minimumResolution: Duration { inner.minimumResolution }
    func sleep(until deadline: ManualClock.Instant, tolerance: Duration?) async throws {
        try await inner.sleep(until: deadline, tolerance: tolerance)
    }
}

/// A clock that cannot sleep.
private struct BrokenClock: Clock {
    struct Failure: Error {}
    let inner = ManualClock()
    var now: ManualClock.Instant { inner.now }
    var minimumResolution: Duration { inner.minimumResolution }
    func sleep(until deadline: ManualClock.Instant, tolerance: Duration?) async throws { throw Failure() }
}

/// An entry that counts how it ended.
private final class Tally: DeadlineScheduler.Entry, @unchecked Sendable {
    // @unchecked Sendable: both are constants.
    let fired = EventRecorder<Void>()
    let wasCancelled = Counter()
    override func fire() { fired.record(()) }
    override func cancelled() { wasCancelled.increment() }
}

@Suite("Entries of a time source")
struct EntryTests {
    let clock = ManualClock()

    @Test("an entry runs once for every time it was armed, on a clock without timers too", arguments: [false, true])
    func plain(isPlain: Bool) async {
        let source = isPlain ? TimeSource(PlainClock(inner: clock)) : TimeSource(clock)
        let entry = Tally()
        for round in 1...3 {
            source.arm(entry, at: source.instant(after: .seconds(1)))
            await clock.waitForSleepers(1)
            clock.advance(by: .seconds(1))
            await entry.fired.wait(for: round)
            #expect(!source.cancel(entry))
        }
        // Moved, and then cancelled.
        source.arm(entry, at: source.instant(after: .seconds(1)))
        source.arm(entry, at: source.instant(after: .seconds(9)))
        #expect(source.cancel(entry))
        #expect(!source.cancel(entry))
        #expect(entry.wasCancelled.value == 1)
        while clock.sleeperCount > 0 { await Task.yield() }
        clock.advance(by: .seconds(9))
        #expect(entry.fired.events.count == 3)
    }

    @Test("a clock that cannot sleep lets an entry run, and does not lose it")
    func brokenClock() async {
        let source = TimeSource(BrokenClock())
        let entry = Tally()
        source.arm(entry, at: source.instant(after: .seconds(1)))
        await entry.fired.wait(for: 1)
        #expect(!source.cancel(entry))
    }

    @Test("an entry that is due already runs, on every kind of clock")
    func due() async {
        for source in [TimeSource(PlainClock(inner: clock)), TimeSource(clock), .continuous] {
            let entry = Tally()
            source.arm(entry, at: .min)
            await entry.fired.wait(for: 1)
        }
    }
}

@Suite("Deadline")
struct DeadlineTests {
    let clock = ManualClock()

    func deadline(_ source: TimeSource, in duration: Duration) -> Deadline {
        Deadline(instant: source.instant(after: duration), timeSource: source)
    }

    @Test("what remains falls to zero and stays there")
    func remaining() {
        let deadline = deadline(TimeSource(clock), in: .seconds(2))
        #expect(deadline.remaining == .seconds(2))
        clock.advance(by: .seconds(2) - .nanoseconds(1))
        #expect(deadline.remaining == .nanoseconds(1))
        #expect(!deadline.isExpired)
        clock.advance(by: .nanoseconds(1))
        #expect(deadline.remaining == .zero)
        #expect(deadline.isExpired)
        clock.advance(by: .seconds(9))
        #expect(deadline.remaining == .zero)
    }

    @Test("where deadlines nest, the earlier one holds, on one clock or on two")
    func nesting() async {
        let source = TimeSource(clock)
        let other = TimeSource(ManualClock())
        #expect(NestedLimit(deadline(source, in: .seconds(5))).deadline.remaining == .seconds(5))
        await DeadlineScope.$innermost.withValue(DeadlineScope(deadline(source, in: .seconds(3)))) {
            #expect(Deadline.current?.remaining == .seconds(3))
            #expect(NestedLimit(deadline(source, in: .seconds(5))).deadline.remaining == .seconds(3))
            #expect(NestedLimit(deadline(source, in: .seconds(2))).deadline.remaining == .seconds(2))
            #expect(NestedLimit(deadline(other, in: .seconds(5))).deadline.remaining == .seconds(3))
            #expect(NestedLimit(deadline(other, in: .seconds(2))).deadline.remaining == .seconds(2))
            await DeadlineScope.$innermost.withValue(DeadlineScope(deadline(source, in: .seconds(1)))) {
                #expect(Deadline.current?.remaining == .seconds(1))
                #expect(await Task { Deadline.current?.remaining }.value == .seconds(1))
            }
            #expect(Deadline.current?.remaining == .seconds(3))
        }
        #expect(Deadline.current == nil)
    }

    @Test("a deadline past all bounds saturates")
    func saturates() {
        let deadline = deadline(TimeSource(clock), in: .seconds(Int64.max))
        #expect(deadline.remaining == .nanoseconds(Int64.max))
        #expect(!deadline.isExpired)
        let past = Deadline(instant: .min, timeSource: TimeSource(clock))
        #expect(past.remaining == .zero)
    }
}
