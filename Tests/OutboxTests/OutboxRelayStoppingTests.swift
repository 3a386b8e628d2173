import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@Suite("OutboxRelay, stopping")
struct OutboxRelayStoppingTests {
    let fixture = OutboxFixture()

    @Test("a drained relay finishes its deliveries and claims nothing more")
    func drains() async throws {
        try await fixture.send((0..<10).map { "m\($0)" })
        let gate = TaskGate()
        let relay = fixture.relay(concurrency: 3) { _ in
            await gate.pass()
            try Task.checkCancellation()
        }
        let run = Task { await relay.run() }
        _ = await fixture.deliveries.wait(for: 3)
        relay.drain()
        gate.open()
        await run.value
        #expect(fixture.deliveries.events.count == 3)
        #expect(await fixture.names(3).allSatisfy { $0.hasPrefix("delivered") })
        #expect(try await fixture.queue.counts() == RecordCounts(pending: 7, deadLetters: 0))
        await relay.run()
        #expect(fixture.deliveries.events.count == 3)
    }

    @Test("an idle relay is drained immediately")
    func drainsIdle() async throws {
        let relay = fixture.relay { _ in }
        let run = Task { await relay.run() }
        await fixture.clock.waitForSleepers(1)
        relay.drain()
        await run.value
        #expect(fixture.clock.sleeperCount == 0)
    }

    @Test("a cancelled relay cancels its handlers and releases their messages without an attempt")
    func cancelled() async throws {
        try await fixture.send((0..<5).map { "m\($0)" })
        let relay = fixture.relay(concurrency: 3) { _ in try await hang() }
        let run = Task { await relay.run() }
        _ = await fixture.deliveries.wait(for: 3)
        run.cancel()
        await run.value
        #expect(await fixture.names(3).allSatisfy { $0.hasPrefix("released") })
        let records = try await fixture.memory.page("test", .pending, after: nil, limit: 10).records
        #expect(records.count == 5)
        #expect(records.allSatisfy { $0.attempts == 0 && !$0.isLeased })
        #expect(try await fixture.memory.nextDue("test") == .zero)
        #expect(fixture.clock.sleeperCount == 0)
    }

    @Test("a delivery that succeeds after the cancellation is settled")
    func succeedsAfterCancellation() async throws {
        try await fixture.send("m1")
        let gate = TaskGate()
        let relay = fixture.relay { _ in await gate.pass() }
        let run = Task { await relay.run() }
        _ = await fixture.deliveries.wait(for: 1)
        run.cancel()
        gate.open()
        await run.value
        #expect(await fixture.names(1) == ["delivered m1 1"])
        #expect(try await fixture.queue.counts() == RecordCounts(pending: 0, deadLetters: 0))
    }

    @Test("messages claimed during the cancellation are released without an attempt")
    func cancelledAtTheClaim() async throws {
        try await fixture.send("m1", "m2")
        fixture.store.failNext(.claim, with: .cancelAfter)
        let relay = fixture.relay { _ in }
        await Task { await relay.run() }.value
        #expect(fixture.deliveries.events.isEmpty)
        let records = try await fixture.memory.page("test", .pending, after: nil, limit: 10).records
        #expect(records.count == 2)
        #expect(records.allSatisfy { $0.attempts == 0 && !$0.isLeased })
    }

    @Test("an early cancellation leaves each message delivered or unchanged", arguments: 0..<20)
    func cancelledEarly(round: Int) async throws {
        try await fixture.send("m1")
        let relay = fixture.relay { _ in try Task.checkCancellation() }
        let run = Task { await relay.run() }
        for _ in 0..<round { await Task.yield() }
        run.cancel()
        await run.value
        // The message is delivered or unchanged.
        let records = try await fixture.memory.page("test", .pending, after: nil, limit: 10).records
        #expect(records.allSatisfy { $0.attempts == 0 && !$0.isLeased })
        if records.isEmpty { #expect(fixture.deliveries.events.count == 1) }
    }
}
