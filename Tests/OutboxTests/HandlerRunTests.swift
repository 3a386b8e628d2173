import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import Outbox

@Suite("HandlerRun")
struct HandlerRunTests {
    private let clock = ManualClock()
    private let run = HandlerRun(in: RelaySession())
    private let reports = ConcurrencyCounter()

    /// Begins a grace of five seconds.
    private func beginGrace() {
        let timeSource = TimeSource(clock)
        run.beginGrace(until: timeSource.instant(after: .seconds(5)), timeSource: timeSource) { [reports] in
            reports.increment()
        }
    }

    @Test("a handler has one grace and is reported once")
    func reportedOnce() {
        beginGrace()
        clock.advance(by: .seconds(2))
        beginGrace()
        clock.advance(by: .seconds(3))
        #expect(run.isOverrun && reports.value == 1)
        beginGrace()
        clock.advance(by: .seconds(60))
        #expect(reports.value == 1)
    }

    @Test("a handler that returns within its grace is not reported and leaves no timer")
    func returned() {
        beginGrace()
        #expect(clock.sleeperCount == 1)
        run.end(.returned(.success(())))
        #expect(clock.sleeperCount == 0)
        beginGrace()
        clock.advance(by: .seconds(60))
        #expect(!run.isOverrun && reports.value == 0 && clock.sleeperCount == 0)
    }
}
