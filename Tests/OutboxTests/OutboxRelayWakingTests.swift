import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@Suite("OutboxRelay, waking")
struct OutboxRelayWakingTests {
    let fixture = OutboxFixture()

    @Test("a commit wakes the relays of its queue before their next poll")
    func commitWakes() async throws {
        let relay = fixture.relay(pollInterval: .seconds(3600)) { _ in }
        let run = Task { await relay.run() }
        await fixture.untilIdle(for: .seconds(3600) ... .seconds(3600))
        // A copy of the queue, as in another part of a program.
        let queue = fixture.queue
        try await queue.commit([], sending: [OutboxMessage(id: "m1", topic: "t", payload: [])])
        // The clock stands still.
        #expect(await fixture.names(1) == ["delivered m1 1"])
        relay.drain()
        await run.value
    }

    @Test("a redrive wakes the relays of its queue")
    func redriveWakes() async throws {
        try await fixture.send("m1")
        for claim in try await fixture.memory.claim("test", limit: 1, lease: .seconds(60)) {
            _ = try await fixture.memory.settle([Settlement(claim, .deadLetter(reason: "x"))])
        }
        let relay = fixture.relay(pollInterval: .seconds(3600)) { _ in }
        let run = Task { await relay.run() }
        await fixture.untilIdle(for: .seconds(3600) ... .seconds(3600))
        #expect(try await fixture.queue.redriveDeadLetters() == 1)
        #expect(await fixture.names(1) == ["delivered m1 1"])
        relay.drain()
        await run.value
    }
}
