import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCore

@Suite("CallbackPool", .timeLimit(.minutes(30)))
struct CallbackPoolTests {
    @Test("a callback starts while hundreds of callbacks block, and idle threads end")
    func blockingTurns() async {
        let pool = CallbackPool()
        let gates = (0..<300).map { _ in ThreadGate() }
        let events = EventRecorder<Int>()
        for gate in gates { pool.run { gate.pass() } }
        pool.run { events.record(0) }
        #expect(await events.wait(for: 1) == [0])
        #expect(pool.threadCount >= 300)
        for gate in gates { gate.open() }
        while pool.threadCount > 4 { await Task.yield() }
        pool.run { events.record(1) }
        #expect(await events.wait(for: 2) == [0, 1])
    }

    @Test("many short callbacks need few threads")
    func shortTurns() async {
        let pool = CallbackPool()
        let events = EventRecorder<Int>()
        let gate = ThreadGate()
        pool.run { gate.pass() }
        for number in 0..<2000 { pool.run { events.record(number) } }
        gate.open()
        #expect(await events.wait(for: 2000).count == 2000)
        #expect(pool.threadCount < 64)
    }

    @Test("a thread that the system rejects is requested again")
    func noThread() async {
        let requests = ConcurrencyCounter()
        let pool = CallbackPool { body in requests.increment() > 3 && tryToStartThread(body) }
        let events = EventRecorder<Int>()
        pool.run { events.record(1) }
        #expect(await events.wait(for: 1) == [1])
        #expect(requests.value == 4)
    }

    @Test("callbacks wait for the existing threads if the system rejects more threads")
    func noMoreThreads() async {
        let requests = ConcurrencyCounter()
        let pool = CallbackPool { body in requests.increment() == 1 && tryToStartThread(body) }
        let gate = ThreadGate()
        let events = EventRecorder<Int>()
        pool.run { gate.pass() }
        pool.run { events.record(1) }
        while requests.value < 3 { await Task.yield() }
        #expect(events.events.isEmpty)
        gate.open()
        #expect(await events.wait(for: 1) == [1])
    }
}
