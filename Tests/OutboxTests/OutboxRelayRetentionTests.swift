import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@Suite("OutboxRelay and the retention of dead letters")
struct OutboxRelayRetentionTests {
    let fixture = OutboxFixture()

    @Test("dead letters are removed after their retention, and each removal is reported")
    func retention() async throws {
        try await fixture.send("m1", "m2")
        let relay = fixture.relay(maxAttempts: 1, deadLetterRetention: .seconds(3600)) { _ in throw BusyError() }
        let run = Task { await relay.run() }
        _ = await fixture.names(2)
        await fixture.clock.waitForSleepers(2)
        fixture.clock.stall(for: .seconds(3599))
        await fixture.clock.waitForSleepers(2)
        #expect(try await fixture.queue.counts() == RecordCounts(pending: 0, deadLetters: 2))
        while fixture.events.events.count < 4 {
            fixture.clock.stall(for: .seconds(60))
            await Task.yield()
        }
        #expect(Set(await fixture.names(4).suffix(2)) == ["removed m1 test.busy", "removed m2 test.busy"])
        #expect(try await fixture.queue.counts() == RecordCounts(pending: 0, deadLetters: 0))
        relay.drain()
        await run.value
        #expect(fixture.clock.sleeperCount == 0)
    }

    @Test("dead letters stay without a retention")
    func noRetention() async throws {
        try await fixture.send("m1")
        let relay = fixture.relay(maxAttempts: 1, pollInterval: .seconds(86_400)) { _ in throw BusyError() }
        let run = Task { await relay.run() }
        _ = await fixture.names(1)
        for _ in 1...40 {
            await fixture.clock.waitForSleepers(1)
            fixture.clock.advance(by: .seconds(86_400))
        }
        await fixture.clock.waitForSleepers(1)
        #expect(try await fixture.queue.counts() == RecordCounts(pending: 0, deadLetters: 1))
        relay.drain()
        await run.value
    }
}
