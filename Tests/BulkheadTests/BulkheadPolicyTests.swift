import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing
import Timeout

@testable import Bulkhead

/// A number of calls at the same time, and the highest so far.
private final class Peak: Sendable {
    private let counts = Lock((now: 0, highest: 0))

    var highest: Int { counts.withLock { $0.highest } }

    func change(by change: Int) {
        counts.withLock { counts in
            counts.now += change
            counts.highest = max(counts.highest, counts.now)
        }
    }
}

@Suite("BulkheadPolicy")
struct BulkheadPolicyTests {
    let clock = ManualClock()

    private func bulkhead(
        _ configuration: BulkheadPolicy.Configuration,
        observer: (@Sendable (BulkheadEvent) -> Void)? = nil
    ) -> BulkheadPolicy {
        BulkheadPolicy(configuration, clock: clock, observer: observer)
    }

    /// Waits until a bulkhead has a number of waiting calls.
    private func waitForWaiting(_ count: Int, in bulkhead: BulkheadPolicy) async {
        while bulkhead.snapshot.waiting != count { await Task.yield() }
    }

    private func error(_ body: () async throws -> Void) async -> BulkheadError? {
        do { try await body() } catch { return error as? BulkheadError }
        return nil
    }

    @Test("results and errors pass through, and the place is released")
    func passesThrough() async throws {
        let bulkhead = bulkhead(.limit(1))
        #expect(try await bulkhead.run { "done" } == "done")
        await #expect(throws: TestError(7)) { try await bulkhead.run { throw TestError(7) } }
        #expect(bulkhead.snapshot.running == 0)
        #expect(bulkhead.snapshot.admitted == 2)
    }

    @Test("no more calls than the limit run at the same time, and all of them end")
    func limit() async throws {
        let bulkhead = bulkhead(.limit(3, maxWaiting: 1000, maxWait: .seconds(60)))
        let peak = Peak()
        try await withThrowingTaskGroup { group in
            for _ in 0..<500 {
                group.addTask {
                    try await bulkhead.run {
                        peak.change(by: 1)
                        await Task.yield()
                        peak.change(by: -1)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(peak.highest == 3)
        #expect(bulkhead.snapshot.running == 0)
        #expect(bulkhead.snapshot.admitted == 500)
    }

    @Test("a call without a place in the bulkhead or the queue is rejected with a time to wait")
    func rejects() async throws {
        let events = EventRecorder<BulkheadEvent>()
        let bulkhead = bulkhead(.limit(1), observer: events.record)
        let permit = try await bulkhead.acquire()
        var runs = 0
        let error = await error { try await bulkhead.run { runs += 1 } }
        #expect(runs == 0)
        #expect(error?.code == "bulkhead.full")
        #expect(error?.category == .unavailable)
        #expect(error?.isRejection == true)
        #expect(error?.retryAfter == .seconds(1))
        permit.release()
        try await bulkhead.run { runs += 1 }
        #expect(runs == 1)
        #expect(await events.wait(for: 1) == error.map { [.rejected($0)] })
        #expect(bulkhead.snapshot.rejected(.full, .normal) == 1)
    }

    @Test("a wait ends at the longest wait, and the place in the queue is free")
    func longestWait() async throws {
        let bulkhead = bulkhead(.limit(1, maxWaiting: 1, maxWait: .seconds(2)))
        let permit = try await bulkhead.acquire()
        let waiting = Task { await error { try await bulkhead.run {} } }
        await clock.advance(by: .seconds(2), whenSleeping: 1)
        #expect(await waiting.value?.reason == .waitedTooLong)
        #expect(bulkhead.snapshot.waiting == 0)
        permit.release()
        #expect(bulkhead.snapshot.running == 0)
    }

    @Test("a wait ends when the call could no longer end before its deadline")
    func deadline() async throws {
        let bulkhead = bulkhead(.limit(1, maxWaiting: 1, maxWait: .seconds(60)))
        // A call takes 3 s.
        let first = Task { try await bulkhead.run { try await clock.sleep(for: .seconds(3)) } }
        await clock.advance(by: .seconds(3), whenSleeping: 1)
        try await first.value
        let permit = try await bulkhead.acquire()
        let waiting = Task {
            await error { try await withTimeout(.seconds(10), clock: clock) { try await bulkhead.run {} } }
        }
        await clock.advance(by: .seconds(7), whenSleeping: 2)
        #expect(await waiting.value?.reason == .deadline)
        permit.release()
    }

    @Test(
        "INV-13: cancel racing grant ⇒ either caller owns it or it passes to the next waiter, never lost, never doubled"
    )
    func cancellation() async throws {
        for seed in 0..<100 {
            var random = SeededGenerator(seed: UInt64(seed))
            let bulkhead = bulkhead(.limit(2, maxWaiting: 100, maxWait: .seconds(60)))
            let tasks = (0..<20).map { _ in
                Task {
                    do { try await bulkhead.run { await Task.yield() } } catch is CancellationError { return }
                }
            }
            for task in tasks.shuffled(using: &random).prefix(10) {
                if Bool.random(using: &random) { await Task.yield() }
                task.cancel()
            }
            for task in tasks { try await task.value }
            let end = bulkhead.snapshot
            #expect((end.running, end.waiting) == (0, 0))
        }
    }

    @Test("a caller that is cancelled leaves the queue immediately")
    func cancelledWaiter() async throws {
        let bulkhead = bulkhead(.limit(1, maxWaiting: 5))
        let permit = try await bulkhead.acquire()
        let waiting = Task { try await bulkhead.run { Issue.record("the call ran") } }
        await waitForWaiting(1, in: bulkhead)
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        #expect(bulkhead.snapshot.waiting == 0)
        #expect(bulkhead.snapshot.rejected() == 0)
        permit.release()
    }

    @Test("INV-31: bulkhead permit is released when the operation ends, not when its caller left")
    func abandonedWork() async throws {
        let bulkhead = bulkhead(.limit(1))
        let abandoned = AbandonedOperations(maxCount: 5)
        let gate = TaskGate()
        let call = Task {
            try await bulkhead.run {
                try await withAbandoningTimeout(.seconds(1), grace: .zero, abandoned: abandoned, clock: clock) {
                    await gate.pass()
                }
            }
        }
        await gate.waitForArrivals(1)
        await clock.advance(by: .seconds(1), whenSleeping: 1)
        await #expect(throws: TimeoutError.self) { try await call.value }
        #expect(abandoned.count == 1)
        #expect(bulkhead.snapshot.running == 1)
        #expect(await error { try await bulkhead.run {} }?.reason == .full)
        gate.open()
        while abandoned.count > 0 { await Task.yield() }
        while bulkhead.snapshot.running > 0 { await Task.yield() }
        try await bulkhead.run {}
    }

    @Test(
        """
        INV-15: an unused reservation is refunded when cancelled, and later reservations move earlier: a place that is \
        granted to a cancelled caller is given to the next
        """
    )
    func grantToCancelled() async throws {
        let bulkhead = bulkhead(.limit(1, maxWaiting: 5))
        let permit = try await bulkhead.acquire()
        let first = Task { try await bulkhead.run {} }
        await waitForWaiting(1, in: bulkhead)
        let second = Task { try await bulkhead.run { "ran" } }
        await waitForWaiting(2, in: bulkhead)
        first.cancel()
        permit.release()
        _ = await first.result
        #expect(try await second.value == "ran")
        #expect(bulkhead.snapshot.running == 0)
    }

    @Test("the priority of the task decides, and a priority of the call takes precedence")
    func priorities() async throws {
        let bulkhead = bulkhead(.limit(1, maxWaiting: 5))
        let permit = try await bulkhead.acquire()
        let order = EventRecorder<String>()
        let low = Task { try await withPriority(.low) { try await bulkhead.run { order.record("low") } } }
        await waitForWaiting(1, in: bulkhead)
        let high = Task {
            try await withPriority(.low) {
                try await bulkhead.policy(priority: .high, tenant: "a").run { order.record("high") }
            }
        }
        await waitForWaiting(2, in: bulkhead)
        let normal = Task { try await bulkhead.run { order.record("normal") } }
        await waitForWaiting(3, in: bulkhead)
        #expect(CallPriority.allCases.map { bulkhead.snapshot.waiting($0) } == [1, 1, 1, 0])
        permit.release()
        for task in [low, high, normal] { try await task.value }
        #expect(order.events == ["high", "normal", "low"])
    }

    @Test("a level outside of the range is an error with the level")
    func priorityLevels() throws {
        #expect(try CallPriority(level: 3) == .critical)
        for level in [-1, 4, .max] {
            let error = #expect(throws: ConfigurationError.self) { try CallPriority(level: level) }
            #expect(error?.description.contains("\(level)") == true)
        }
    }

    @Test("the waits are readable and in the report of the call")
    func queueTime() async throws {
        let bulkhead = bulkhead(.limit(1, maxWaiting: 1, maxWait: .seconds(10)))
        let permit = try await bulkhead.acquire()
        let trace = CallTrace(timeSource: TimeSource(clock))
        let waiting = Task { try await CallTrace.$current.withValue(trace) { try await bulkhead.run {} } }
        await clock.advance(by: .seconds(4), whenSleeping: 1)
        permit.release()
        try await waiting.value
        let snapshot = bulkhead.snapshot
        #expect(snapshot.longestWait == .seconds(4))
        #expect(snapshot.totalWait == .seconds(4))
        #expect(snapshot.admittedAfterWait == 1)
        let steps = trace.report(name: "call", outcome: .success, error: nil).entries.map { "\($0.step)" }
        #expect(steps == ["waited 4 s for a place"])
    }

    @Test("a reload changes the limit of a bulkhead in use, and a wrong reload changes nothing")
    func reload() async throws {
        let events = EventRecorder<BulkheadEvent>()
        let bulkhead = bulkhead(.limit(1, maxWaiting: 5), observer: events.record)
        let permit = try await bulkhead.acquire()
        let waiting = Task { try await bulkhead.run {} }
        await waitForWaiting(1, in: bulkhead)
        #expect(throws: ConfigurationError.self) { try bulkhead.reload(.limit(0)) }
        #expect(bulkhead.configuration == .limit(1, maxWaiting: 5))
        try bulkhead.reload(.limit(2, maxWaiting: 5))
        try await waiting.value
        permit.release()
        #expect(await events.wait(for: 1) == [.limitChanged(2)])
    }

    @Test("INV-5: any number of caller cancellations leaves the adaptive limit unchanged, and failures lower it")
    func adaptive() async throws {
        let bulkhead = bulkhead(.init(.adaptive(AdaptiveLimit(.aimd, initial: 10, min: 1, max: 10))))
        for _ in 0..<10 {
            clock.advance(by: .seconds(1))
            await #expect(throws: TestError.self) { try await bulkhead.run { throw TestError() } }
        }
        #expect(bulkhead.snapshot.limit == 9)
        for _ in 0..<20 {
            clock.advance(by: .seconds(1))
            let call = Task {
                unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() }
                try await bulkhead.run { throw CancellationError() }
            }
            _ = await call.result
        }
        #expect(bulkhead.snapshot.limit == 9)
    }

    @Test("figures that cannot work are refused with the value")
    func configuration() {
        typealias Configuration = BulkheadPolicy.Configuration
        #expect(problems { try Configuration.limit(0).validate() } == ["limit must be from 1 to 1000000 (is 0)"])
        #expect(
            problems { try Configuration.limit(1, maxWaiting: -1, maxWait: .zero).validate() }
                == ["maxWaiting must be from 0 to 1000000 (is -1)", "maxWait must be positive (is 0.0 seconds)"]
        )
        let order = Configuration.Order.adaptiveLIFO(target: .seconds(2), interval: .seconds(1))
        #expect(
            problems { try Configuration(.fixed(1), order: order).validate() }
                == ["interval must be at least target 2.0 seconds (is 1.0 seconds)"]
        )
        let limit = AdaptiveLimit(initial: 300, min: 0, max: 200, window: .zero)
        #expect(
            problems { try Configuration(.adaptive(limit)).validate() }
                == [
                    "limit: min must be at least 1 (is 0)", "limit: initial must be from 0 to 200 (is 300)",
                    "limit: window must be positive (is 0.0 seconds)",
                ]
        )
    }

    @Test("the operation keeps the isolation of its caller")
    @MainActor
    func isolation() async throws {
        let counter = NonSendableCounter()
        try await bulkhead(.limit(1)).run {
            MainActor.assertIsolated()
            counter.count += 1
        }
        #expect(counter.count == 1)
    }
}
