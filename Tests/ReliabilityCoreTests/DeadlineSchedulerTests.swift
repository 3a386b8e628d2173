import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCore

/// An instant that no test reaches.
private let never = Int64.max

private final class Token: Sendable {
    private let onDeinit: @Sendable () -> Void
    init(onDeinit: @escaping @Sendable () -> Void = {}) { self.onDeinit = onDeinit }
    func touch() {}
    deinit { onDeinit() }
}

@Suite("DeadlineScheduler")
struct DeadlineSchedulerTests {
    let scheduler = DeadlineScheduler()

    @Test("actions run in the order of their instants, and of equal instants in the order of arming")
    func order() async {
        let events = EventRecorder<Int>()
        // The gate blocks the thread until all entries are armed.
        let gate = ThreadGate()
        let now = TimeSource.continuous.now
        _ = scheduler.schedule(at: now - 1000) { gate.pass() }
        for (offset, number) in [(-10, 4), (-30, 1), (-20, 2), (-10, 5), (-20, 3), (0, 6)] {
            _ = scheduler.schedule(at: now + Int64(offset)) { events.record(number) }
        }
        gate.open()
        #expect(await events.wait(for: 6) == [1, 2, 3, 4, 5, 6])
    }

    @Test("an action armed for an earlier instant than all others wakes the thread")
    func earlier() async {
        let events = EventRecorder<String>()
        let far = scheduler.schedule(at: never) { events.record("far") }
        _ = scheduler.schedule(at: TimeSource.continuous.instant(after: .milliseconds(1))) { events.record("soon") }
        #expect(await events.wait(for: 1) == ["soon"])
        #expect(scheduler.pendingCount == 1)
        scheduler.cancel(far)
        #expect(scheduler.pendingCount == 0)
    }

    @Test("an action does not run before its instant")
    func notEarly() async {
        let events = EventRecorder<Bool>()
        for milliseconds in [3, 1, 2] {
            let instant = TimeSource.continuous.instant(after: .milliseconds(milliseconds))
            _ = scheduler.schedule(at: instant) { events.record(TimeSource.continuous.now >= instant) }
        }
        #expect(await events.wait(for: 3) == [true, true, true])
    }

    @Test("a cancelled action is removed, and its captures are released immediately")
    func cancelReleases() {
        weak var freed: Token?
        let entry: TimerEntry
        do {
            let token = Token()
            freed = token
            entry = scheduler.schedule(at: never) { token.touch() }
        }
        #expect(freed != nil)
        #expect(scheduler.pendingCount == 1)
        scheduler.cancel(entry)
        #expect(freed == nil)
        #expect(scheduler.pendingCount == 0)
        scheduler.cancel(entry)
        #expect(scheduler.pendingCount == 0)
    }

    @Test("the deinitializer of a capture may use the scheduler")
    func releasesOutsideTheLock() async {
        let events = EventRecorder<Int>()
        func schedule(at instant: Int64) -> TimerEntry {
            let token = Token { [scheduler] in events.record(scheduler.pendingCount) }
            return scheduler.schedule(at: instant) { token.touch() }
        }
        scheduler.cancel(schedule(at: never))
        _ = schedule(at: 0)
        #expect(await events.wait(for: 2) == [0, 0])
    }

    @Test("an action may arm and cancel other actions")
    func reentrant() async {
        let events = EventRecorder<String>()
        let other = scheduler.schedule(at: never) { events.record("cancelled") }
        _ = scheduler.schedule(at: 0) { [scheduler] in
            scheduler.cancel(other)
            _ = scheduler.schedule(at: 0) { events.record("armed by an action") }
        }
        #expect(await events.wait(for: 1) == ["armed by an action"])
        #expect(scheduler.pendingCount == 0)
    }

    @Test("every entry either runs or is reported as cancelled")
    func runsOrIsCancelled() async {
        let ended = ConcurrencyCounter()
        let wins = await withTaskGroup(of: Int.self) { group in
            for number in 0..<4000 {
                group.addTask {
                    let instant = TimeSource.continuous.now + Int64(number % 7) * 1000
                    let entry = scheduler.schedule(at: instant) { ended.increment() }
                    await Task.yield()
                    return scheduler.cancel(entry) ? 1 : 0
                }
            }
            return await group.reduce(0, +)
        }
        // All entries are removed, but the last action may still be running.
        let last = EventRecorder<Void>()
        _ = scheduler.schedule(at: .min) { last.record(()) }
        await last.wait(for: 1)
        #expect(ended.value + wins == 4000)
        #expect(scheduler.pendingCount == 0)
    }

    @Test("extreme instants cause neither a trap nor a busy loop")
    func endsOfTime() async {
        let events = EventRecorder<Int>()
        let far = [Int64.max, .max - 1, .max / 2].map { scheduler.schedule(at: $0) { events.record(0) } }
        _ = scheduler.schedule(at: .min) { events.record(1) }
        _ = scheduler.schedule(at: .min + 1) { events.record(2) }
        #expect(await events.wait(for: 2).sorted() == [1, 2])
        #expect(scheduler.pendingCount == 3)
        for entry in far { scheduler.cancel(entry) }
        #expect(scheduler.pendingCount == 0)
    }

    @Test("of 100,000 random entries all entries that are not cancelled run in order", arguments: [1, 2])
    func randomAgainstModel(seed: UInt64) async {
        var random = SeededGenerator(seed: seed)
        let events = EventRecorder<Int>()
        let gate = ThreadGate()
        _ = scheduler.schedule(at: .min) { gate.pass() }
        // No other entry may be armed before the action of the gate runs.
        while scheduler.pendingCount > 0 { await Task.yield() }
        var model: [(instant: Int64, number: Int, entry: TimerEntry)] = []
        let now = TimeSource.continuous.now
        for number in 0..<100_000 {
            if model.isEmpty || Int.random(in: 0..<5, using: &random) < 3 {
                let instant = now - Int64.random(in: 0...1000, using: &random)
                model.append((instant, number, scheduler.schedule(at: instant) { events.record(number) }))
            } else {
                let victim = Int.random(in: 0..<model.count, using: &random)
                model.swapAt(victim, model.count - 1)
                scheduler.cancel(model.removeLast().entry)
            }
        }
        #expect(scheduler.pendingCount == model.count, "seed \(seed)")
        gate.open()
        let expected = model.sorted { ($0.instant, $0.number) < ($1.instant, $1.number) }.map(\.number)
        #expect(await events.wait(for: expected.count) == expected, "seed \(seed)")
        #expect(scheduler.pendingCount == 0)
    }

    @Test("concurrent arming and cancelling loses no action and runs no action twice")
    func concurrent() async {
        let ran = ConcurrencyCounter()
        let events = EventRecorder<Int>()
        await withTaskGroup { group in
            for _ in 0..<16 {
                group.addTask {
                    for number in 0..<500 {
                        if number.isMultiple(of: 2) {
                            _ = scheduler.schedule(at: 0) { events.record(ran.increment()) }
                        } else {
                            scheduler.cancel(scheduler.schedule(at: never) { ran.increment() })
                        }
                    }
                }
            }
        }
        #expect(await events.wait(for: 4000).count == 4000)
        #expect(ran.value == 4000)
        #expect(scheduler.pendingCount == 0)
    }

    @Test("actions run even if the system rejects a thread, and the thread is requested again")
    func noThread() async {
        let rejections = ConcurrencyCounter()
        let started = EventRecorder<Void>()
        let scheduler = DeadlineScheduler(startThread: { body in
            if rejections.value < 3 {
                rejections.increment()
                return false
            }
            started.record(())
            return tryToStartThread(body)
        })
        let events = EventRecorder<Int>()
        _ = scheduler.schedule(at: .min) { events.record(1) }
        #expect(await events.wait(for: 1) == [1])
        await started.wait(for: 1)
        _ = scheduler.schedule(at: 0) { events.record(2) }
        #expect(await events.wait(for: 2) == [1, 2])
        #expect(rejections.value == 3)
    }

    @Test("timers and sleeps of the suspending clock need no task and can be cancelled")
    func suspendingClock() async throws {
        let source = TimeSource(SuspendingClock())
        #expect(source.identity == TimeSource(SuspendingClock()).identity)
        let events = EventRecorder<Bool>()
        let far = source.timer(at: never) { events.record(false) }
        let before = DeadlineScheduler.suspending.pendingCount
        #expect(before >= 1)
        far.cancel()
        let instant = source.instant(after: .milliseconds(1))
        _ = source.timer(at: instant) { events.record(source.now >= instant) }
        #expect(await events.wait(for: 1) == [true])
        let clock = SuspendingClock()
        let start = clock.now
        try await source.sleep(for: .milliseconds(1))
        #expect(start.duration(to: clock.now) >= .milliseconds(1))
    }

    @Test("a sleep ends at its instant")
    func sleeps() async throws {
        let instant = TimeSource.continuous.instant(after: .milliseconds(1))
        try await scheduler.sleep(until: instant)
        #expect(TimeSource.continuous.now >= instant)
        try await scheduler.sleep(until: .min)
        #expect(scheduler.pendingCount == 0)
    }

    @Test("a cancelled sleep ends immediately and leaves nothing behind")
    func sleepCancelled() async {
        let task = Task { try await scheduler.sleep(until: never) }
        while scheduler.pendingCount == 0 { await Task.yield() }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(scheduler.pendingCount == 0)
    }

    @Test("a cancelled task does not sleep")
    func sleepCancelledBefore() async {
        let task = Task {
            unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() }
            try await scheduler.sleep(until: never)
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(scheduler.pendingCount == 0)
    }

    @Test("a sleep cancelled during its setup cancels its entry")
    func sleepCancelledInBetween() async {
        let before = Sleeper()
        #expect(before.finish(.cancelled) == nil)
        let sleeper = Sleeper()
        let entry = scheduler.schedule(at: never) {}
        let end = await withCheckedContinuation { continuation in
            #expect(sleeper.start(continuation))
            // Cancelled before its entry is set: `setEntry` then returns that the entry is to be cancelled.
            #expect(sleeper.finish(.cancelled) == nil)
            #expect(sleeper.setEntry(entry))
        }
        #expect(end == .cancelled)
        let immediate = await withCheckedContinuation { #expect(!before.start($0)) }
        #expect(immediate == .cancelled)
        scheduler.cancel(entry)
    }

    @Test("sleeps and simultaneous cancellations all end and leave nothing behind")
    func sleepRaces() async {
        await withTaskGroup { group in
            for number in 0..<2000 {
                group.addTask {
                    let instant = number.isMultiple(of: 2) ? TimeSource.continuous.now + 50_000 : never
                    let task = Task { try? await scheduler.sleep(until: instant) }
                    if number.isMultiple(of: 3) || instant == never { task.cancel() }
                    await task.value
                }
            }
        }
        #expect(scheduler.pendingCount == 0)
    }
}
