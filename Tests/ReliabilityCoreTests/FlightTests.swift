import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCore

@Suite("Flight")
struct FlightTests {
    @Test("C12: work that would wait for itself is cancelled if every other call has left")
    func recursiveLast() async throws {
        let timeSource = TimeSource(ManualClock())
        let (flight, waiter) = Flight.joined(timeSource: timeSource)
        let (joined, left, checked) = (TaskGate(), TaskGate(), TaskGate())
        let isCancelled = Lock<Bool?>(nil)
        flight.start {
            guard let inner = flight.join() else { return }
            await joined.pass()
            let end = await flight.wait(inner)
            await left.pass()
            isCancelled.withLock { $0 = Task.isCancelled && end == .recursive }
            checked.open()
        }
        let caller = Task { await flight.wait(waiter) }
        caller.cancel()
        #expect(await caller.value == .cancelled)
        joined.open()
        left.open()
        await checked.pass()
        #expect(isCancelled.withLock { $0 } == true)
    }
}
