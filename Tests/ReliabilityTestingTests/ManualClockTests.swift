import ReliabilityTesting
import Testing

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

    @Test("a thousand sleepers that race with the clock all wake or are cancelled")
    func many() async {
        let woken = Counter()
        await withTaskGroup { group in
            for number in 0..<1000 {
                group.addTask {
                    try? await sleep(.milliseconds(number % 50))
                    woken.increment()
                }
                group.addTask {
                    let sleeper = Task { try await sleep(.seconds(3600)) }
                    sleeper.cancel()
                    try? await sleeper.value
                    woken.increment()
                }
            }
            group.addTask {
                while woken.value < 2000 {
                    clock.advance(by: .milliseconds(10))
                    await Task.yield()
                }
            }
        }
        #expect(woken.value == 2000)
        #expect(clock.sleeperCount == 0)
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
