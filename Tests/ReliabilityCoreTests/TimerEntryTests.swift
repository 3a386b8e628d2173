import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCore

/// A clock without timers of its own.
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
    let inner = ManualClock()
    var now: ManualClock.Instant { inner.now }
    var minimumResolution: Duration { inner.minimumResolution }
    func sleep(until deadline: ManualClock.Instant, tolerance: Duration?) async throws { throw TestError() }
}

/// An entry that counts its runs and cancellations.
private final class CountingEntry: TimerEntry, @unchecked Sendable {
    // @unchecked Sendable: both are constants.
    let fired = EventRecorder<Void>()
    let wasCancelledBefore = ConcurrencyCounter()
    override func fire() { fired.record(()) }
    override func cancelled() { wasCancelledBefore.increment() }
}

@Suite("TimerEntry")
struct TimerEntryTests {
    let clock = ManualClock()

    @Test("an entry runs once each time it is armed, also on a clock without timers", arguments: [false, true])
    func plain(isPlain: Bool) async {
        let source = isPlain ? TimeSource(PlainClock(inner: clock)) : TimeSource(clock)
        let entry = CountingEntry()
        for round in 1...3 {
            source.arm(entry, at: source.instant(after: .seconds(1)))
            await clock.waitForSleepers(1)
            clock.advance(by: .seconds(1))
            await entry.fired.wait(for: round)
            #expect(!source.cancel(entry))
        }
        // Armed again, and then cancelled.
        source.arm(entry, at: source.instant(after: .seconds(1)))
        source.arm(entry, at: source.instant(after: .seconds(9)))
        #expect(source.cancel(entry))
        #expect(!source.cancel(entry))
        #expect(entry.wasCancelledBefore.value == 1)
        while clock.sleeperCount > 0 { await Task.yield() }
        clock.advance(by: .seconds(9))
        #expect(entry.fired.events.count == 3)
    }

    @Test("an entry on a clock that cannot sleep runs")
    func brokenClock() async {
        let source = TimeSource(BrokenClock())
        let entry = CountingEntry()
        source.arm(entry, at: source.instant(after: .seconds(1)))
        await entry.fired.wait(for: 1)
        #expect(!source.cancel(entry))
    }

    @Test("an entry that is already due runs on every kind of clock")
    func due() async {
        for source in [TimeSource(PlainClock(inner: clock)), TimeSource(clock), .continuous] {
            let entry = CountingEntry()
            source.arm(entry, at: .min)
            await entry.fired.wait(for: 1)
        }
    }
}
