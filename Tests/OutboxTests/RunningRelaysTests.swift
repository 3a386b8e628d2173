import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import Outbox

@Suite("RunningRelays")
struct RunningRelaysTests {
    @Test("relays are woken in the order in which they began")
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
