import Bulkhead
import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing
import Timeout

@Suite("Bulkhead: invariants")
struct BulkheadInvariantTests {
    private let clock = ManualClock()

    @Test(
        """
        INV-34: no lock while user code runs: a clock, a classification, an observer and an operation may use the \
        bulkhead
        """
    )
    func reentry() async throws {
        let uses = Lock(0)
        let clock = CallingClock()
        let holder = Lock<BulkheadPolicy?>(nil)
        @Sendable func use() {
            guard let bulkhead = holder.withLock({ $0 }) else { return }
            uses.withLock { $0 += bulkhead.snapshot.limit }
            try? bulkhead.reload(bulkhead.configuration)
        }
        let events = EventRecorder<BulkheadEvent>()
        let bulkhead = BulkheadPolicy(
            .init(.adaptive(AdaptiveLimit(initial: 1, min: 1, max: 1)), maxWaiting: 1),
            classify: { _ in
                use()
                return .failure
            },
            clock: clock,
            observer: { event in
                use()
                events.record(event)
            }
        )
        // A reload reads the clock.
        clock.onRead.withLock { $0 = { uses.withLock { $0 += holder.withLock { $0 }?.snapshot.limit ?? 0 } } }
        holder.withLock { $0 = bulkhead }
        let permit = try await bulkhead.acquire()
        let waiting = Task {
            try await bulkhead.run {
                use()
                throw TestError()
            }
        }
        while bulkhead.snapshot.waiting == 0 { await Task.yield() }
        await #expect(throws: BulkheadError.self) { try await bulkhead.run {} }
        permit.release()
        await #expect(throws: TestError.self) { try await waiting.value }
        #expect(await events.wait(for: 1).count == 1)
        #expect(uses.withLock { $0 } > 4)
        #expect((bulkhead.snapshot.running, bulkhead.snapshot.waiting) == (0, 0))
        holder.withLock { $0 = nil }
    }

    @Test(
        """
        INV-41: if required wait > maxWait reject now, no sleep, no debit: a call that could not end before its deadline \
        is rejected without a wait and displaces no waiting call
        """
    )
    func requiredWait() async throws {
        let bulkhead = BulkheadPolicy(.limit(1, maxWaiting: 1, maxWait: .seconds(60)), clock: clock)
        // A call takes 3 s.
        let first = Task { try await bulkhead.run { try await clock.sleep(for: .seconds(3)) } }
        await clock.advance(by: .seconds(3), whenSleeping: 1)
        try await first.value
        let permit = try await bulkhead.acquire()
        let waiting = Task { try await bulkhead.run(priority: .low, tenant: nil) { "ran" } }
        await clock.waitForSleepers(1)
        let error = await #expect(throws: BulkheadError.self) {
            try await withTimeout(.seconds(3), clock: clock) {
                try await bulkhead.run(priority: .high, tenant: nil) {}
            }
        }
        #expect(error?.reason == .deadline)
        #expect(clock.sleeperCount == 1)
        permit.release()
        #expect(try await waiting.value == "ran")
    }

    @Test("INV-37: callbacks run outside locks: an observer that blocks delays no call")
    func blockingObserver() async throws {
        let gate = ThreadGate()
        let bulkhead = BulkheadPolicy(.limit(1), clock: clock) { _ in gate.pass() }
        let permit = try await bulkhead.acquire()
        for _ in 0..<3 { await #expect(throws: BulkheadError.self) { try await bulkhead.run {} } }
        permit.release()
        #expect(try await bulkhead.run { 1 } == 1)
        gate.open()
    }

    @Test("a limit, a queue and a wait at the ends of their ranges cause no trap", arguments: [1, 1_000_000])
    func extremes(count: Int) async throws {
        let order = BulkheadPolicy.Configuration.Order.adaptiveLIFO(
            target: .nanoseconds(1),
            interval: .seconds(Int64.max)
        )
        let limit = AdaptiveLimit(.vegas, initial: count, min: 1, max: 1_000_000, window: .seconds(Int64.max))
        for limit in [BulkheadPolicy.Configuration.Limit.fixed(count), .adaptive(limit)] {
            let bulkhead = BulkheadPolicy(
                .init(limit, maxWaiting: 1_000_000, maxWait: .seconds(Int64.max), order: order),
                clock: clock
            )
            try await bulkhead.run { clock.advance(by: .seconds(1 << 40)) }
            try bulkhead.reload(.limit(1, maxWaiting: 0, maxWait: .nanoseconds(1)))
            let permit = try await bulkhead.acquire()
            let error = await #expect(throws: BulkheadError.self) { try await bulkhead.run {} }
            #expect(error?.retryAfter.map { $0 > .zero } == true)
            permit.release(.failure)
            #expect(bulkhead.snapshot.running == 0)
        }
    }
}
