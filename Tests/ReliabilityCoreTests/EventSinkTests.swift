import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCore

extension EventSink {
    /// A sink whose events do not report missed events.
    fileprivate init(plain observer: (@Sendable (Event) -> Void)?, capacity: Int = 4096) {
        self.init(observer, capacity: capacity, missed: { [$1] })
    }
}

@Suite("EventSink", .timeLimit(.minutes(30)))
struct EventSinkTests {
    @Test("events arrive in order, each once")
    func order() async {
        let recorder = EventRecorder<Int>()
        let sink = EventSink(plain: recorder.record)
        for number in 0..<3000 { sink.emit(number) }
        #expect(await recorder.wait(for: 3000) == Array(0..<3000))
    }

    @Test("events of many tasks all arrive, and the events of each task are in order")
    func concurrent() async {
        let recorder = EventRecorder<(task: Int, number: Int)>()
        let sink = EventSink(plain: recorder.record)
        await withTaskGroup { group in
            for task in 0..<16 {
                group.addTask { for number in 0..<100 { sink.emit((task, number)) } }
            }
        }
        let events = await recorder.wait(for: 1600)
        for task in 0..<16 { #expect(events.filter { $0.task == task }.map(\.number) == Array(0..<100)) }
    }

    @Test("an observer may emit")
    func reentrant() async {
        final class Echo: Sendable {
            let sink = Lock<EventSink<Int>?>(nil)
            let recorder = EventRecorder<Int>()
            @Sendable func observe(_ number: Int) {
                recorder.record(number)
                let sink = sink.withLock { $0 }
                if number < 5 { sink?.emit(number + 1) }
            }
        }
        let echo = Echo()
        let sink = EventSink(plain: echo.observe)
        echo.sink.withLock { $0 = sink }
        sink.emit(0)
        #expect(await echo.recorder.wait(for: 6) == [0, 1, 2, 3, 4, 5])
    }

    /// An observer whose first event blocks it until the gate is opened.
    private final class Blocked: Sendable {
        let gate = ThreadGate()
        let entered = EventRecorder<Int>()
        let events = EventRecorder<Int>()

        @Sendable func observe(_ number: Int) {
            entered.record(number)
            if number == -1 { gate.pass() }
            events.record(number)
        }

        /// Blocks the observer.
        func block(_ sink: EventSink<Int>) async {
            sink.emit(-1)
            await entered.wait(for: 1)
        }
    }

    @Test("a blocked observer delays no call, and events above the capacity are dropped and counted in place")
    func missed() async {
        let blocked = Blocked()
        let sink = EventSink(blocked.observe, missed: { count, next in [-1000 - count, next] })
        let before = ObserverDelivery.missedCount
        await blocked.block(sink)
        // 4,096 events wait, and the latest event.
        for number in 0..<5000 { sink.emit(number) }
        #expect(ObserverDelivery.missedCount - before >= 903)
        blocked.gate.open()
        #expect(await blocked.events.wait(for: 4099) == [-1] + Array(0..<4096) + [-1903, 4999])
        sink.emit(7)
        #expect(await blocked.events.wait(for: 4100).last == 7)
    }

    @Test("an observed event type receives the count of missed events as an event")
    func missedEvent() async {
        enum Event: ObservedEvent, Equatable {
            case number(Int)
            case missed(count: Int)
        }
        let gate = ThreadGate()
        let events = EventRecorder<Event>()
        @Sendable func observe(_ event: Event) {
            events.record(event)
            gate.pass()
        }
        let sink = EventSink(observe)
        sink.emit(.number(-1))
        await events.wait(for: 1)
        for number in 0..<4100 { sink.emit(.number(number)) }
        gate.open()
        #expect(await events.wait(for: 4099).suffix(3) == [.number(4095), .missed(count: 3), .number(4099)])
    }

    @Test("no missed events are reported up to the capacity")
    func notMissed() async {
        let blocked = Blocked()
        let sink = EventSink(blocked.observe, capacity: 3, missed: { count, next in [-1000 - count, next] })
        await blocked.block(sink)
        for number in 0..<4 { sink.emit(number) }
        blocked.gate.open()
        #expect(await blocked.events.wait(for: 5) == [-1, 0, 1, 2, 3])
    }

    @Test("a dropped event is released outside of the sink's lock")
    func releasesOutsideTheLock() async {
        final class Token: Sendable {
            let sink: EventSink<Token?>
            init(_ sink: EventSink<Token?>) { self.sink = sink }
            deinit { sink.emit(nil) }
        }
        let gate = ThreadGate()
        let events = EventRecorder<Void>()
        @Sendable func observe(_ token: Token?) {
            events.record(())
            gate.pass()
        }
        let sink = EventSink(plain: observe, capacity: 1)
        sink.emit(nil)
        await events.wait(for: 1)
        sink.emit(nil)
        sink.emit(Token(sink))
        // Drops the token, whose deinitializer emits an event.
        sink.emit(nil)
        gate.open()
        await events.wait(for: 3)
    }

    @Test("blocked observers delay no events of other sinks")
    func isolated() async {
        let blocked = (0..<40).map { _ in Blocked() }
        for blocked in blocked { await blocked.block(EventSink(plain: blocked.observe)) }
        let recorder = EventRecorder<Int>()
        let sink = EventSink(plain: recorder.record)
        for number in 0..<100 { sink.emit(number) }
        #expect(await recorder.wait(for: 100) == Array(0..<100))
        for blocked in blocked { blocked.gate.open() }
    }

    @Test("a flush returns after every sink has delivered all earlier events")
    func flush() async {
        let recorders = (0..<4).map { _ in EventRecorder<Int>() }
        let sinks = recorders.map { EventSink(plain: $0.record) }
        for number in 0..<1000 { for sink in sinks { sink.emit(number) } }
        #expect(await ObserverDelivery.flush(within: .seconds(3600)))
        for recorder in recorders { #expect(recorder.events.count == 1000) }
    }

    @Test("a flush does not wait for later events")
    func flushEnds() async {
        final class Endless: Sendable {
            let sink = Lock<EventSink<Int>?>(nil)
            @Sendable func observe(_ number: Int) { sink.withLock { $0 }?.emit(number + 1) }
        }
        let endless = Endless()
        let sink = EventSink(plain: endless.observe)
        endless.sink.withLock { $0 = sink }
        sink.emit(0)
        #expect(await ObserverDelivery.flush(within: .seconds(3600)))
        endless.sink.withLock { $0 = nil }
    }

    @Test("a flush ends at its limit, and a cancelled task can flush")
    func flushLimit() async {
        let blocked = Blocked()
        await blocked.block(EventSink(plain: blocked.observe))
        #expect(await !ObserverDelivery.flush(within: .zero))
        #expect(await !ObserverDelivery.flush(within: .milliseconds(1)))
        let flush = Task {
            unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() }
            return await ObserverDelivery.flush(within: .seconds(3600))
        }
        blocked.gate.open()
        #expect(await flush.value)
        #expect(blocked.events.events == [-1])
    }

    @Test("the observer runs outside of tasks")
    func ownThread() async {
        let isOutsideTasks = EventRecorder<Bool>()
        let sink = EventSink<Int>(plain: { _ in
            isOutsideTasks.record(unsafe withUnsafeCurrentTask { unsafe $0 == nil })
        })
        sink.emit(1)
        #expect(await isOutsideTasks.wait(for: 1) == [true])
    }

    @Test("without an observer no event is created")
    func noObserver() {
        let sink = EventSink<Int>(plain: nil)
        let made = ConcurrencyCounter()
        sink.emit(made.increment())
        #expect(made.value == 0)
    }

    @Test("the observer does not see the task-local values of the emitting task")
    func detached() async throws {
        let recorder = EventRecorder<CorrelationID?>()
        let sink = EventSink<Int>(plain: { _ in recorder.record(CorrelationID.current) })
        let id = try #require(CorrelationID("request-1"))
        await withCorrelationID(id) { sink.emit(1) }
        #expect(await recorder.wait(for: 1) == [nil])
    }
}
