import ReliabilityCore
import Testing

@testable import ReliabilityTesting

@Suite("ManualClock")
struct ManualClockTests {
    let clock = ManualClock()

    func sleep(_ duration: Duration) async throws {
        try await clock.sleep(until: clock.now.advanced(by: duration), tolerance: nil)
    }

    @Test("time stands still until it is moved")
    func standsStill() {
        let start = clock.now
        #expect(clock.now == start)
        clock.advance(by: .milliseconds(1500))
        #expect(start.duration(to: clock.now) == .milliseconds(1500))
        clock.advance(by: .zero)
        #expect(start.duration(to: clock.now) == .milliseconds(1500))
    }

    @Test("a sleeper wakes at its instant and not before")
    func boundary() async throws {
        let sleeper = Task { try await sleep(.seconds(10)) }
        await clock.waitForSleepers(1)
        #expect(clock.timeToNextSleeper == .seconds(10))
        clock.advance(by: .seconds(10) - .nanoseconds(1))
        #expect(clock.sleeperCount == 1)
        #expect(clock.timeToNextSleeper == .nanoseconds(1))
        clock.advance(by: .nanoseconds(1))
        #expect(clock.sleeperCount == 0)
        #expect(clock.timeToNextSleeper == nil)
        try await sleeper.value
    }

    @Test("a sleep that is over before it began returns at once")
    func past() async throws {
        try await sleep(.zero)
        try await sleep(.seconds(-5))
        #expect(clock.sleeperCount == 0)
    }

    @Test("a sleeper that is cancelled wakes at once and is forgotten")
    func cancelled() async {
        let sleeper = Task { try await sleep(.seconds(10)) }
        await clock.waitForSleepers(1)
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
        #expect(clock.sleeperCount == 0)
    }

    @Test("a task that was cancelled before does not sleep")
    func cancelledBefore() async {
        let sleeper = Task {
            unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() }
            try await sleep(.seconds(10))
        }
        await #expect(throws: CancellationError.self) { try await sleeper.value }
        #expect(clock.sleeperCount == 0)
    }

    @Test("of two sleepers the next one decides how far the clock moves")
    func nextSleeper() async throws {
        let start = clock.now
        let sleepers = [5, 3, 9].map { seconds in Task { try await sleep(.seconds(seconds)) } }
        await clock.waitForSleepers(3)
        for seconds in [3, 5, 9] {
            await clock.advanceToNextSleeper()
            #expect(start.duration(to: clock.now) == .seconds(seconds))
        }
        for sleeper in sleepers { try await sleeper.value }
    }

    @Test("waiting for sleepers ends when there are enough, for every waiter")
    func waiters() async throws {
        let waiters = [1, 2, 3, 3].map { count in
            Task {
                await clock.waitForSleepers(count)
                return clock.sleeperCount >= count
            }
        }
        let sleepers = (0..<3).map { _ in Task { try await sleep(.seconds(1)) } }
        for waiter in waiters { #expect(await waiter.value) }
        clock.advance(by: .seconds(1))
        for sleeper in sleepers { try await sleeper.value }
    }

    @Test("waiting for sleepers ends when the waiter is cancelled, before or after it began")
    func waiterCancelled() async {
        let waiter = Task { await clock.waitForSleepers(1) }
        waiter.cancel()
        await waiter.value
        #expect(clock.sleeperCount == 0)
    }

    @Test("a thousand sleepers wake at their instants, while others are cancelled")
    func many() async {
        let woken = EventRecorder<Void>()
        await withTaskGroup { group in
            for number in 0..<1000 {
                group.addTask {
                    try? await sleep(.milliseconds(number % 50 + 1))
                    woken.record(())
                }
            }
            await clock.waitForSleepers(1000)
            for step in 1...50 {
                group.addTask {
                    let sleeper = Task { try await sleep(.seconds(3600)) }
                    sleeper.cancel()
                    try? await sleeper.value
                }
                clock.advance(by: .milliseconds(1))
                await woken.wait(for: step * 20)
            }
        }
        #expect(woken.events.count == 1000)
        #expect(clock.sleeperCount == 0)
    }

    @Test("timers have run when the clock has been moved, in the order of their instants and of their arming")
    func timers() {
        let source = TimeSource(clock)
        let events = EventRecorder<Int>()
        for (seconds, number) in [(3, 4), (1, 1), (2, 2), (2, 3), (9, 5)] {
            _ = source.timer(at: source.instant(after: .seconds(seconds))) { events.record(number) }
        }
        #expect(clock.sleeperCount == 5)
        clock.advance(by: .seconds(1))
        #expect(events.events == [1])
        clock.advance(by: .seconds(1))
        #expect(events.events == [1, 2, 3])
        clock.advance(by: .seconds(1))
        clock.advance(by: .seconds(100))
        #expect(events.events == [1, 2, 3, 4, 5])
        #expect(clock.sleeperCount == 0)
    }

    @Test("a timer that is cancelled, also by one that ran before it, does not run and is forgotten")
    func timerCancelled() {
        let source = TimeSource(clock)
        let events = EventRecorder<Int>()
        let second = Lock<TimeSource.Timer?>(nil)
        _ = source.timer(at: 1) {
            events.record(1)
            second.withLock { $0 }?.cancel()
        }
        second.withLock { $0 = source.timer(at: 1) { events.record(2) } }
        let third = source.timer(at: 3) { events.record(3) }
        third.cancel()
        #expect(clock.sleeperCount == 2)
        clock.advance(by: .seconds(1))
        #expect(events.events == [1])
        #expect(clock.sleeperCount == 0)
    }

    @Test("timers that a timer arms run in their turn, and those that are due already before the clock has been moved")
    func reentrant() {
        let source = TimeSource(clock)
        let events = EventRecorder<Int>()
        _ = source.timer(at: 10) {
            _ = source.timer(at: 30) { events.record(3) }
            _ = source.timer(at: 5) { events.record(1) }
            _ = source.timer(at: 900) { events.record(9) }
            events.record(0)
        }
        _ = source.timer(at: 10) { events.record(2) }
        clock.advance(by: .nanoseconds(50))
        #expect(events.events == [0, 1, 2, 3])
        #expect(clock.timeToNextSleeper == .nanoseconds(850))
        _ = source.timer(at: 50) { events.record(4) }
        #expect(events.events == [0, 1, 2, 3, 4])
    }

    @Test("the next sleeper is the next one also when earlier ones were cancelled")
    func nextAfterCancel() {
        let source = TimeSource(clock)
        let instants = (1...2000).map { $0 * Int64(1_000_000) }
        var timers = instants.map { source.timer(at: $0) {} }
        while !timers.isEmpty {
            let first = 2000 - timers.count
            #expect(clock.timeToNextSleeper == .nanoseconds(instants[first]))
            timers.removeFirst().cancel()
        }
        #expect(clock.timeToNextSleeper == nil)
    }

    @Test("ten thousand timers and sleepers run in order")
    func tenThousand() async throws {
        var random = SeededGenerator(seed: 10)
        let source = TimeSource(clock)
        let events = EventRecorder<Int64>()
        let instants = (0..<10_000).map { _ in Int64.random(in: 1..<1_000_000_000, using: &random) }
        for instant in instants { _ = source.timer(at: instant) { events.record(instant) } }
        let sleeper = Task { try await sleep(.seconds(1)) }
        await clock.waitForSleepers(10_001)
        while clock.sleeperCount > 1, let wait = clock.timeToNextSleeper { clock.advance(by: wait) }
        #expect(events.events == instants.sorted())
        clock.advance(by: .seconds(1))
        try await sleeper.value
    }

    @Test("INV-16: two runs with the same moves of the clock are the same, however long they take")
    func sameRuns() {
        func run() -> [String] {
            let clock = ManualClock()
            let source = TimeSource(clock)
            let events = EventRecorder<String>()
            var random = SeededGenerator(seed: 3)
            for number in 0..<500 {
                let timer = source.timer(at: Int64.random(in: 0..<10_000_000, using: &random)) {
                    events.record("\(number) at \(source.now)")
                }
                if number.isMultiple(of: 5) { timer.cancel() }
                var step = Duration.nanoseconds(Int64.random(in: 0..<20_000, using: &random))
                while let wait = clock.timeToNextSleeper, wait <= step {
                    clock.advance(by: wait)
                    step -= wait
                }
                clock.advance(by: step)
            }
            // The timers read the clock that holds them.
            while let wait = clock.timeToNextSleeper { clock.advance(by: wait) }
            return events.events
        }
        #expect(run() == run())
    }

    @Test("INV-17: a clock that stands still runs nothing, and one that is moved to the end of time runs all")
    func jump() {
        let source = TimeSource(clock)
        let events = EventRecorder<Int>()
        _ = source.timer(at: .max) { events.record(3) }
        _ = source.timer(at: 1) { events.record(1) }
        _ = source.timer(at: Int64.max / 2) { events.record(2) }
        for _ in 0..<3 { clock.advance(by: .zero) }
        #expect(events.events == [])
        clock.advance(by: .nanoseconds(1))
        clock.advance(by: .nanoseconds(Int64.max / 2 - 1))
        clock.advance(by: .seconds(Int64.max))
        #expect(events.events == [1, 2, 3])
    }

    @Test("instants past all bounds saturate")
    func saturates() async throws {
        let far = clock.now.advanced(by: .seconds(Int64.max)).advanced(by: Duration(attoseconds: .max))
        #expect(clock.now < far)
        #expect(clock.now.duration(to: far) == .nanoseconds(Int64.max))
        clock.advance(by: Duration(attoseconds: .max))
        #expect(clock.now == far)
        try await sleep(.seconds(1))
    }

    @Test("it does not go back")
    func backwards() async {
        await #expect(processExitsWith: .failure) { ManualClock().advance(by: .seconds(-1)) }
    }

    @Test("a move that waits for its sleepers moves when they are there, however late they come")
    func advanceWhenSleeping() async throws {
        let sleepers = (0..<3).map { _ in
            Task {
                for _ in 0..<100 { await Task.yield() }
                try await sleep(.seconds(1))
            }
        }
        await clock.advance(by: .seconds(1), whenSleeping: 3)
        for sleeper in sleepers { try await sleeper.value }
    }

    @Test("a move that waits for its sleepers does not move when its task is cancelled")
    func advanceCancelled() async {
        let start = clock.now
        let move = Task { await clock.advance(by: .seconds(1), whenSleeping: 1) }
        move.cancel()
        await move.value
        #expect(clock.now == start)
    }

    @Test("with more sleepers than the test says, the move is refused")
    func moreSleepers() async {
        await #expect(processExitsWith: .failure) {
            let clock = ManualClock()
            let sleepers = (0..<2).map { _ in Task { try await clock.sleep(for: .seconds(1)) } }
            await clock.waitForSleepers(2)
            await clock.advance(by: .seconds(1), whenSleeping: 1)
            withExtendedLifetime(sleepers) {}
        }
    }

    @Test("a jump over two instants is refused: what the first one starts has to come before the second")
    func jumpOverTwo() async throws {
        let result = try await #require(
            processExitsWith: .failure,
            observing: [\.standardErrorContent]
        ) {
            let clock = ManualClock()
            let source = TimeSource(clock)
            _ = source.timer(at: source.instant(after: .seconds(8))) {}
            _ = source.timer(at: source.instant(after: .milliseconds(2500))) {}
            clock.advance(by: .seconds(10))
        }
        let text = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(text.contains("moved to 10 s, past those that sleep until 2.5 s and those that sleep until 8 s"))
    }

    @Test("a second move before a woken task has gone on is refused")
    func movedTooEarly() async {
        await #expect(processExitsWith: .failure) { await Stage().moveTwice(isTooEarly: true) }
        await Stage().moveTwice(isTooEarly: false)
    }

    @Test("a clock that was moved before its sleepers came complains, and says why")
    func complaintOfSleepers() async {
        let complaints = EventRecorder<String>()
        let clock = ManualClock(patience: .milliseconds(1), complain: complaints.record)
        clock.advance(by: .seconds(8))
        let sleeper = Task { try await clock.sleep(for: .seconds(8)) }
        #expect(
            await complaints.wait(for: 1) == [
                """
                ManualClock: nothing has happened for 1 ms; 1 task(s) and timer(s) sleep on it, the first for another \
                8 s. It was moved before they slept: use `await clock.advance(by:whenSleeping:)`

                """
            ]
        )
        sleeper.cancel()
    }

    @Test("a clock whose sleepers never come complains of that")
    func complaintOfWaiter() async {
        let complaints = EventRecorder<String>()
        let clock = ManualClock(patience: .milliseconds(1), complain: complaints.record)
        let waiter = Task { await clock.waitForSleepers(2) }
        #expect(
            await complaints.wait(for: 1) == [
                "ManualClock: a test has waited for 2 sleeper(s) for 1 ms; 0 task(s) and timer(s) sleep on it\n"
            ]
        )
        waiter.cancel()
    }
}

/// An actor whose tasks cannot go on while it works.
private actor Stage {
    let clock = ManualClock()

    /// Moves the clock to one sleeper and to the next, perhaps before the first can go on.
    func moveTwice(isTooEarly: Bool) async {
        // Not `sleep(for:)`, which leaves the actor.
        let first = Task { try? await clock.sleep(until: clock.now.advanced(by: .seconds(1)), tolerance: nil) }
        let second = Task { try? await clock.sleep(until: clock.now.advanced(by: .seconds(3)), tolerance: nil) }
        await clock.waitForSleepers(2)
        clock.advance(by: .seconds(1))
        // Nothing is due: that passes nobody's wait.
        clock.advance(by: .seconds(1))
        if !isTooEarly { await first.value }
        clock.advance(by: .seconds(1))
        await second.value
    }
}

@Suite("EventRecorder, Counter, SeededGenerator")
struct SmallPartsTests {
    @Test("a recorder keeps events in order, and returns them when there are enough")
    func recorder() async {
        let recorder = EventRecorder<Int>()
        let waiters = [1, 3, 3].map { count in Task { await recorder.wait(for: count).count >= count } }
        for number in 0..<3 { recorder.record(number) }
        for waiter in waiters { #expect(await waiter.value) }
        #expect(recorder.events == [0, 1, 2])
        #expect(await recorder.wait(for: 0) == [0, 1, 2])
    }

    @Test("waiting for events ends when the waiter is cancelled")
    func recorderCancelled() async {
        let recorder = EventRecorder<Int>()
        recorder.record(7)
        let waiter = Task { await recorder.wait(for: 2) }
        waiter.cancel()
        #expect(await waiter.value == [7])
    }

    @Test("a counter that many tasks use loses nothing and knows its highest value")
    func counter() async {
        let counter = Counter()
        await withTaskGroup { group in
            for _ in 0..<100 {
                group.addTask {
                    counter.increment()
                    counter.decrement()
                }
            }
        }
        #expect(counter.value == 0)
        #expect((1...100).contains(counter.highest))
    }

    @Test("a generator's numbers are those of SplitMix64, from its seed on")
    func generator() {
        // The first outputs for the seed 1234567 as published on Rosetta Code.
        var generator = SeededGenerator(seed: 1_234_567)
        let numbers = (0..<5).map { _ in generator.next() }
        #expect(
            numbers == [
                6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
                4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
            ]
        )
    }
}
