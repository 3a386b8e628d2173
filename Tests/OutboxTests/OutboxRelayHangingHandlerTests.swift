import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@Suite("OutboxRelay with hanging handlers")
struct OutboxRelayHangingHandlerTests {
    let fixture = OutboxFixture()

    @Test("hanging handlers are reported once, and deliveries resume when they return")
    func overrun() async throws {
        try await fixture.send((0..<10).map { "m\($0)" })
        let gate = TaskGate()
        let relay = fixture.relay(concurrency: 8, deliveryTimeout: .seconds(5)) { _ in await gate.pass() }
        let run = Task { await relay.run() }
        _ = await fixture.deliveries.wait(for: 8)
        await fixture.clock.waitForSleepers(8)
        for _ in 1...2 {
            fixture.clock.advance(by: .seconds(5))
            await fixture.clock.waitForSleepers(8)
        }
        #expect(Set(await fixture.names(8)) == Set((0..<8).map { "overrun m\($0) 1" }))
        for _ in 1...20 {
            fixture.clock.advance(by: .seconds(5))
            await fixture.clock.waitForSleepers(8)
        }
        #expect(fixture.deliveries.events.count == 8 && fixture.events.events.count == 8)
        gate.open()
        #expect(await fixture.names(18).filter { $0.hasPrefix("delivered") }.count == 10)
        relay.drain()
        await run.value
    }

    @Test("a cancelled relay abandons hanging handlers after the grace with their leases", arguments: [true, false])
    func cancelled(isDrained: Bool) async throws {
        try await fixture.send((0..<8).map { "m\($0)" })
        let gate = TaskGate()
        let relay = fixture.relay(lease: .seconds(60)) { delivery in
            if delivery.message.id == "m0" { return try await hang() }
            await gate.pass()
        }
        let run = Task { await relay.run() }
        _ = await fixture.deliveries.wait(for: 8)
        if isDrained { relay.drain() }
        run.cancel()
        #expect(await fixture.names(1) == ["released m0"])
        // The lease renewals and the grace periods.
        await fixture.clock.waitForSleepers(14)
        fixture.clock.advance(by: .seconds(5))
        await run.value
        #expect(Set(await fixture.names(8).dropFirst()) == Set((1..<8).map { "abandoned m\($0) 1" }))
        let records = try await fixture.memory.page("test", .pending, after: nil, limit: 10).records
        #expect(records.map(\.isLeased) == [false] + Array(repeating: true, count: 7))
        #expect(records.map(\.attempts) == [0] + Array(repeating: 1, count: 7))
        // Abandoned handlers have no later effect.
        gate.open()
        fixture.clock.advance(by: .seconds(61))
        let claims = try await fixture.memory.claim("test", limit: 10, lease: .seconds(60))
        #expect(claims.count == 8 && claims.count { $0.wasAbandoned } == 7)
        #expect(fixture.events.events.count == 8 && fixture.clock.sleeperCount == 0)
    }
}

@Suite("OutboxRelay with a blocking cancellation handler", .timeLimit(.minutes(30)))
struct OutboxRelayBlockingHandlerTests {
    @Test("the relay cancels the other handlers, abandons the blocking handler and returns", arguments: [true, false])
    func returns(isDrained: Bool) async throws {
        let memory = InMemoryStore()
        let queue = OutboxQueue("test", store: memory, storeFailure: .failClosed())
        let ids = (0..<4).map { "m\($0)" }
        try await queue.commit([], sending: ids.map { OutboxMessage(id: $0, topic: "t", payload: []) })
        let handlers = ThreadGate()
        let gate = TaskGate()
        defer {
            handlers.open()
            gate.open()
        }
        let entered = EventRecorder<String>()
        let cancelled = EventRecorder<String>()
        let relay = OutboxRelay(OutboxRelay.Configuration(cancellationGrace: .milliseconds(1)), queue: queue) {
            delivery in
            entered.record(delivery.message.id)
            if delivery.message.id != "m1" {
                do { try await hang() } catch {
                    cancelled.record(delivery.message.id)
                    throw error
                }
            }
            await withTaskCancellationHandler {
                await gate.pass()
            } onCancel: {
                handlers.pass()
            }
        }
        let run = Task { await relay.run() }
        _ = await entered.wait(for: 4)
        if isDrained { #expect(await relay.drain(within: .milliseconds(10)) >= 1) } else { run.cancel() }
        await run.value
        #expect(Set(await cancelled.wait(for: 3)) == ["m0", "m2", "m3"])
        let records = try await memory.page("test", .pending, after: nil, limit: 10).records
        #expect(records.filter(\.isLeased).map(\.id).contains("m1"))
    }

    @Test("a relay without a grace cancels the handlers that it abandons", arguments: [true, false])
    func cancelsTheAbandoned(isDrained: Bool) async throws {
        let memory = InMemoryStore()
        let queue = OutboxQueue("test", store: memory, storeFailure: .failClosed())
        try await queue.commit([], sending: [OutboxMessage(id: "m1", topic: "t", payload: [])])
        let entered = EventRecorder<Void>()
        let cancelled = EventRecorder<Void>()
        let relay = OutboxRelay(OutboxRelay.Configuration(cancellationGrace: .zero), queue: queue) { _ in
            entered.record(())
            do { try await hang() } catch { cancelled.record(()) }
        }
        let run = Task { await relay.run() }
        _ = await entered.wait(for: 1)
        if isDrained { await relay.drain(within: .zero) } else { run.cancel() }
        await run.value
        #expect(await cancelled.wait(for: 1).count == 1)
    }
}
