import ReliabilityTesting
import Testing

@testable import ReliabilityCore

@Suite("TimeSource")
struct TimeSourceTests {
    let clock = ManualClock()

    @Test("a reading is the time since the source was created")
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

    @Test("a reading of the continuous source follows `ContinuousClock`")
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

    @Test("sources of different clocks have different identities, and copies share an identity")
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
        "a sleep in a cancelled task throws CancellationError, even with no duration",
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

    /// A clock that advances by a second at each reading.
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

    @Test("a sleep ends at its instant even if the clock moves during the setup")
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

    @Test("a timer runs its action at its instant, on a manual clock and on the real clock")
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

    @Test("a cancelled timer does not run")
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
