import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import Outbox

@Suite("RunningRelays")
struct RunningRelaysTests {
    @Test("relays are woken in the order in which they began, so that a simulation of one seed is one run")
    func order() {
        let relays = RunningRelays()
        let woken = Lock<[UInt64]>([])
        var numbers: [UInt64] = []
        for index in 0..<100 {
            let number = UInt64(index)
            numbers.append(relays.add { woken.withLock { $0.append(number) } })
        }
        relays.remove(numbers[50])
        relays.wake()
        #expect(woken.withLock { $0 } == (0..<100).filter { $0 != 50 })
    }
}

@Suite("HandlerRun")
struct HandlerRunTests {
    private let clock = ManualClock()
    private let run = HandlerRun()
    private let reports = Counter()

    /// Gives the handler five seconds.
    private func beginGrace() {
        let timeSource = TimeSource(clock)
        run.beginGrace(until: timeSource.instant(after: .seconds(5)), timeSource: timeSource) { [reports] in
            reports.increment()
        }
    }

    @Test("a handler that is cancelled twice, late and without its lease, has one grace and is reported once")
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

    @Test("a handler that returns within its grace is not reported, and leaves no timer")
    func returned() {
        beginGrace()
        #expect(clock.sleeperCount == 1)
        run.finish(.success(()))
        #expect(clock.sleeperCount == 0)
        beginGrace()
        clock.advance(by: .seconds(60))
        #expect(!run.isOverrun && reports.value == 0 && clock.sleeperCount == 0)
    }
}
