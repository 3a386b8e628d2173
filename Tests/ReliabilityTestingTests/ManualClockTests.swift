import ReliabilityCore
import Testing

@testable import ReliabilityTesting

@Suite("ManualClock")
struct ManualClockTests {
    let clock = ManualClock()

    func sleep(_ duration: Duration) async throws {
        try await clock.sleep(until: clock.now.advanced(by: duration), tolerance: nil)
    }

    @Test("time stands still until it is advanced")
    func standsStill() {
        let start = clock.now
        #expect(clock.now == start)
        clock.advance(by: .milliseconds(1500))
        #expect(start.duration(to: clock.now) == .milliseconds(1500))
        clock.advance(by: .zero)
        #expect(start.duration(to: clock.now) == .milliseconds(1500))
    }

    @Test("a sleeper wakes exactly at its instant")
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

    @Test("a sleep until a past instant returns immediately")
    func past() async throws {
        try await sleep(.zero)
        try await sleep(.seconds(-5))
        #expect(clock.sleeperCount == 0)
    }

    @Test("a cancelled sleeper wakes immediately and is removed")
    func cancelled() async {
        let sleeper = Task { try await sleep(.seconds(10)) }
        await clock.waitForSleepers(1)
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
        #expect(clock.sleeperCount == 0)
    }

    @Test("a cancelled task does not sleep")
    func cancelledBefore() async {
        let sleeper = Task {
            unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() }
            try await sleep(.seconds(10))
        }
        await #expect(throws: CancellationError.self) { try await sleeper.value }
        #expect(clock.sleeperCount == 0)
    }

    @Test("the clock advances to the earliest of several sleepers")
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

    @Test("every waiter resumes when enough tasks sleep")
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

    @Test("a cancelled waiter resumes")
    func waiterCancelled() async {
        let waiter = Task { await clock.waitForSleepers(1) }
        waiter.cancel()
        await waiter.value
        #expect(clock.sleeperCount == 0)
    }

    @Test("a thousand sleepers wake at their instants while others are cancelled")
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

    @Test("timers run during the advance, in the order of their instants and of their arming")
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

    @Test("a cancelled timer does not run and is removed")
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

    @Test("a timer armed by a timer runs in its turn, and an overdue timer runs immediately")
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

    @Test("cancelled timers do not hide the next timer")
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

    @Test("two runs with the same advances are identical")
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
            // The timers read the clock that runs them.
            while let wait = clock.timeToNextSleeper { clock.advance(by: wait) }
            return events.events
        }
        #expect(run() == run())
    }

    @Test("an advance by zero runs nothing, and an advance to the end of time runs everything")
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

    @Test("instants past the bounds saturate")
    func saturates() async throws {
        let far = clock.now.advanced(by: .seconds(Int64.max)).advanced(by: Duration(attoseconds: .max))
        #expect(clock.now < far)
        #expect(clock.now.duration(to: far) == .nanoseconds(Int64.max))
        clock.advance(by: Duration(attoseconds: .max))
        #expect(clock.now == far)
        try await sleep(.seconds(1))
    }

    @Test("a negative advance is rejected")
    func backwards() async {
        await #expect(processExitsWith: .failure) { ManualClock().advance(by: .seconds(-1)) }
    }

    @Test("advance(by:whenSleeping:) waits for late sleepers")
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

    @Test("advance(by:whenSleeping:) does not advance in a cancelled task")
    func advanceCancelled() async {
        let start = clock.now
        let move = Task { await clock.advance(by: .seconds(1), whenSleeping: 1) }
        move.cancel()
        await move.value
        #expect(clock.now == start)
    }

    @Test("advance(by:whenSleeping:) rejects more sleepers than expected")
    func moreSleepers() async {
        await #expect(processExitsWith: .failure) {
            let clock = ManualClock()
            let sleepers = (0..<2).map { _ in Task { try await clock.sleep(for: .seconds(1)) } }
            await clock.waitForSleepers(2)
            await clock.advance(by: .seconds(1), whenSleeping: 1)
            withExtendedLifetime(sleepers) {}
        }
    }

    @Test("an advance past two instants with sleepers is rejected")
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
        #expect(text.contains("moved to 10 s, past sleepers at 2.5 s and at 8 s"))
    }

    @Test("a second advance before a woken task has resumed is rejected")
    func movedTooEarly() async {
        await #expect(processExitsWith: .failure) { await Stage().moveTwice(isTooEarly: true) }
        await Stage().moveTwice(isTooEarly: false)
    }

    @Test("the diagnosis of a late sleeper names the advance before it")
    func lateSleeperDiagnosis() async {
        let complaints = EventRecorder<String>()
        let clock = ManualClock(maxWait: .milliseconds(1), reportStall: complaints.record)
        clock.advance(by: .seconds(8))
        let sleeper = Task { try await clock.sleep(for: .seconds(8)) }
        #expect(
            await complaints.wait(for: 1) == [
                """
                ManualClock: no activity for 1 ms; 1 task(s) and timer(s) sleep on the clock, the first for another \
                8 s. The clock was moved before they slept: use `await clock.advance(by:whenSleeping:)`

                """
            ]
        )
        sleeper.cancel()
    }

    @Test("the diagnosis of a waiting test counts the missing sleepers")
    func waiterDiagnosis() async {
        let complaints = EventRecorder<String>()
        let clock = ManualClock(maxWait: .milliseconds(1), reportStall: complaints.record)
        let waiter = Task { await clock.waitForSleepers(2) }
        #expect(
            await complaints.wait(for: 1) == [
                "ManualClock: a test has waited for 2 sleeper(s) for 1 ms; 0 task(s) and timer(s) sleep on the clock\n"
            ]
        )
        waiter.cancel()
    }
}

/// An actor whose tasks cannot resume while the actor is busy.
private actor Stage {
    let clock = ManualClock()

    /// Advances the clock to one sleeper and then to the next, perhaps before the first has resumed.
    func moveTwice(isTooEarly: Bool) async {
        // Not `sleep(for:)`, which leaves the actor.
        let first = Task { try? await clock.sleep(until: clock.now.advanced(by: .seconds(1)), tolerance: nil) }
        let second = Task { try? await clock.sleep(until: clock.now.advanced(by: .seconds(3)), tolerance: nil) }
        await clock.waitForSleepers(2)
        clock.advance(by: .seconds(1))
        // Nothing is due at this instant.
        clock.advance(by: .seconds(1))
        if !isTooEarly { await first.value }
        clock.advance(by: .seconds(1))
        await second.value
    }
}
