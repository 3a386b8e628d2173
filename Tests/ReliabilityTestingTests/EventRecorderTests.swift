import ReliabilityCore
import Testing

@testable import ReliabilityTesting

@Suite("EventRecorder")
struct EventRecorderTests {
    @Test("events are recorded in order and returned when there are enough")
    func order() async {
        let recorder = EventRecorder<Int>()
        let waiters = [1, 3, 3].map { count in Task { await recorder.wait(for: count).count >= count } }
        for number in 0..<3 { recorder.record(number) }
        for waiter in waiters { #expect(await waiter.value) }
        #expect(recorder.events == [0, 1, 2])
        #expect(await recorder.wait(for: 0) == [0, 1, 2])
    }

    @Test("a cancelled wait returns the events so far")
    func cancelled() async {
        let recorder = EventRecorder<Int>()
        recorder.record(7)
        let waiter = Task { await recorder.wait(for: 2) }
        waiter.cancel()
        #expect(await waiter.value == [7])
    }
}
