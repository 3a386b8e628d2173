import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import ReliabilityStore

@Suite("StoreClock")
struct StoreClockTests {
    @Test("the clock follows its source from its start and saturates")
    func follows() {
        let manual = ManualClock()
        let clock = StoreClock(startingAt: 1_000, TimeSource(manual))
        let late = StoreClock(startingAt: .max - 5, TimeSource(manual))
        #expect(clock.now == 1_000_000)
        manual.advance(by: .nanoseconds(7))
        #expect(clock.now == 1_000_007)
        #expect(late.now == .max)
    }
}
