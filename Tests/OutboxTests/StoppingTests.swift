import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Retry
import Testing

@Suite("OutboxRelay, with handlers that hang")
struct HangingHandlerTests {
    let bench = Bench()

    @Test("each is reported once, a relay whose places are all taken delivers nothing, and goes on when they return")
    func overrun() async throws {
        try await bench.send((0..<10).map { "m\($0)" })
        let gate = Gate()
        let relay = bench.relay(concurrency: 8, timeLimit: .seconds(5)) { _ in await gate.pass() }
        let run = Task { await relay.run() }
        _ = await bench.deliveries.wait(for: 8)
        await bench.clock.waitForSleepers(8)
        for _ in 1...2 {
            bench.clock.advance(by: .seconds(5))
            await bench.clock.waitForSleepers(8)
        }
        #expect(Set(await bench.names(8)) == Set((0..<8).map { "overrun m\($0) 1" }))
        for _ in 1...20 {
            bench.clock.advance(by: .seconds(5))
            await bench.clock.waitForSleepers(8)
        }
        #expect(bench.deliveries.events.count == 8 && bench.events.events.count == 8)
        gate.open()
        #expect(await bench.names(18).filter { $0.hasPrefix("delivered") }.count == 10)
        relay.drain()
        await run.value
    }

    @Test(
        "a cancelled relay walks away from them after the grace, drained before or not, and leaves them their leases",
        arguments: [true, false]
    )
    func cancelled(isDrained: Bool) async throws {
        try await bench.send((0..<8).map { "m\($0)" })
        let gate = Gate()
        let relay = bench.relay(lease: .seconds(60)) { delivery in
            if delivery.message.id == "m0" { return try await untilCancelled() }
            await gate.pass()
        }
        let run = Task { await relay.run() }
        _ = await bench.deliveries.wait(for: 8)
        if isDrained { relay.drain() }
        run.cancel()
        #expect(await bench.names(1) == ["released m0"])
        // The keepers, and the graces.
        await bench.clock.waitForSleepers(14)
        bench.clock.advance(by: .seconds(5))
        await run.value
        #expect(Set(await bench.names(8).dropFirst()) == Set((1..<8).map { "abandoned m\($0) 1" }))
        let records = try await bench.memory.page("test", .pending, after: nil, limit: 10).records
        #expect(records.map(\.isLeased) == [false] + Array(repeating: true, count: 7))
        #expect(records.map(\.attempts) == [0] + Array(repeating: 1, count: 7))
        // What they do afterwards is nobody's any more.
        gate.open()
        bench.clock.advance(by: .seconds(61))
        let claims = try await bench.memory.claim("test", limit: 10, lease: .seconds(60))
        #expect(claims.count == 8 && claims.count { $0.wasAbandoned } == 7)
        #expect(bench.events.events.count == 8 && bench.clock.sleeperCount == 0)
    }
}

@Suite("OutboxRelay, with a cancellation handler that blocks", .timeLimit(.minutes(10)))
struct BlockingHandlerTests {
    @Test("the relay cancels the others, walks away, and returns", arguments: [true, false])
    func returns(isDrained: Bool) async throws {
        let memory = InMemoryStore()
        let queue = OutboxQueue("test", store: memory)
        let ids = (0..<4).map { "m\($0)" }
        try await queue.commit([], sending: ids.map { OutboxMessage(id: $0, topic: "t", payload: []) })
        let handlers = ReliabilityTesting.Gate()
        let gate = Gate()
        defer {
            handlers.open()
            gate.open()
        }
        let entered = EventRecorder<String>()
        let cancelled = EventRecorder<String>()
        let relay = OutboxRelay(queue, OutboxRelayConfiguration(cancellationGrace: .milliseconds(1))) { delivery in
            entered.record(delivery.message.id)
            if delivery.message.id != "m1" {
                do { try await untilCancelled() } catch {
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

    @Test("a relay without any grace or time cancels the handlers that it walks away from", arguments: [true, false])
    func cancelsTheAbandoned(isDrained: Bool) async throws {
        let memory = InMemoryStore()
        let queue = OutboxQueue("test", store: memory)
        try await queue.commit([], sending: [OutboxMessage(id: "m1", topic: "t", payload: [])])
        let entered = EventRecorder<Void>()
        let cancelled = EventRecorder<Void>()
        let relay = OutboxRelay(queue, OutboxRelayConfiguration(cancellationGrace: .zero)) { _ in
            entered.record(())
            do { try await untilCancelled() } catch { cancelled.record(()) }
        }
        let run = Task { await relay.run() }
        _ = await entered.wait(for: 1)
        if isDrained { await relay.drain(within: .zero) } else { run.cancel() }
        await run.value
        #expect(await cancelled.wait(for: 1).count == 1)
    }
}

@Suite("OutboxRelay.drain(within:)")
struct DrainTests {
    private struct Outcome: Equatable {
        var waited: Duration
        var left: Int
        var pending: Int
        var attempts: [Int]
    }

    /// Drains a relay while it delivers one message.
    private func drain(
        _ simulation: Simulation,
        within limit: Duration,
        isCallerCancelled: Bool = false,
        handler: @escaping @Sendable (ManualClock) async throws -> Void
    ) async throws -> Outcome {
        let clock = simulation.clock
        let memory = InMemoryStore(clock: clock)
        let queue = OutboxQueue("test", store: memory)
        try await queue.commit([], sending: [OutboxMessage(id: "m1", topic: "t", payload: [])])
        let relay = OutboxRelay(queue, clock: clock, randomness: simulation.generator()) { _ in
            try await handler(clock)
        }
        let run = simulation.spawn { await relay.run() }
        try await clock.sleep(for: .milliseconds(simulation.random(in: 1...100)))
        let start = clock.now
        let draining = simulation.spawn { await relay.drain(within: limit) }
        if isCallerCancelled { draining.cancel() }
        let left = try await draining.value
        let waited = start.duration(to: clock.now)
        _ = try await run.value
        simulation.expect(start.duration(to: clock.now) == waited, "run returns later than the drain")
        let records = try await memory.page("test", .pending, after: nil, limit: 9).records
        return Outcome(waited: waited, left: left, pending: records.count, attempts: records.map(\.attempts))
    }

    @Test("returns as soon as everything is delivered", arguments: [Duration.seconds(20), .seconds(Int64.max)])
    func finishes(limit: Duration) throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let outcome = try await drain(simulation, within: limit) { try await $0.sleep(for: .seconds(2)) }
            simulation.expect(outcome.waited < .seconds(2) && outcome.left == 0 && outcome.pending == 0, "\(outcome)")
        }
    }

    @Test("cancels what is not over shortly before the limit, gives it back, and counts no attempt")
    func cuts() throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let outcome = try await drain(simulation, within: .seconds(20)) { try await $0.sleep(for: .seconds(25)) }
            let expected = Outcome(waited: .seconds(15), left: 0, pending: 1, attempts: [0])
            simulation.expect(outcome == expected, "\(outcome)")
        }
    }

    @Test(
        "returns at the limit though a handler ignores its cancellation, and counts it",
        arguments: [Duration.zero, .seconds(-1), .milliseconds(1), .seconds(20), .seconds(600)]
    )
    func walksAway(limit: Duration) throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let gate = Gate()
            let outcome = try await drain(simulation, within: limit) { _ in await gate.pass() }
            let expected = Outcome(waited: max(.zero, limit), left: 1, pending: 1, attempts: [1])
            simulation.expect(outcome == expected, "\(outcome)")
            gate.open()
        }
    }

    @Test("returns at once when its task is cancelled")
    func callerCancelled() throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let gate = Gate()
            let outcome = try await drain(simulation, within: .seconds(600), isCallerCancelled: true) { _ in
                await gate.pass()
            }
            simulation.expect(outcome.waited == .zero && outcome.left == 1, "\(outcome)")
            gate.open()
        }
    }

    @Test("of a relay that does not run, returns at once")
    func notRunning() async {
        let relay = OutboxRelay(OutboxQueue("test", store: InMemoryStore()), clock: ManualClock()) { _ in }
        #expect(await relay.drain(within: .seconds(20)) == 0)
        await relay.run()
    }
}

@Suite("OutboxRelay, over a store that will not be back")
struct LastingFailureTests {
    @Test(
        "stops, says why once, and returns when what is under way is over",
        arguments: [StoreError.Reason.closed, .failed, .readOnly]
    )
    func stops(reason: StoreError.Reason) async throws {
        let events = EventRecorder<OutboxEvent>()
        try Simulation.run(seeds: 0..<20) { simulation in
            let clock = simulation.clock
            let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock)
            let queue = OutboxQueue("test", store: store)
            try await queue.commit([], sending: [OutboxMessage(id: "m1", topic: "t", payload: [])])
            let delivered = Counter()
            let relay = OutboxRelay(
                queue,
                clock: clock,
                randomness: simulation.generator(),
                observer: events.record
            ) { _ in
                try await clock.sleep(for: .seconds(2))
                delivered.increment()
            }
            let run = simulation.spawn { await relay.run() }
            try await clock.sleep(for: .seconds(1))
            store.outage = .refuse(reason)
            relay.wake()
            let start = clock.now
            _ = try await run.value
            simulation.expect(start.duration(to: clock.now) < .seconds(2), "it returned late")
            simulation.expect(delivered.value == 1, "\(delivered.value) deliveries")
        }
        // In each run, also that the delivery could not be settled.
        let stops = await events.wait(for: 40).filter { event in
            if case .stopped(let error) = event { error.reason == reason } else { false }
        }
        #expect(stops.count == 20 && events.events.count == 40)
    }

    @Test("stops also when only its question for the next message is refused")
    func nextDue() async {
        let bench = Bench()
        bench.store.fail(.nextDue, .before(.closed))
        let relay = bench.relay { _ in }
        await relay.run()
        #expect(await bench.names(1) == ["stopped store.closed"])
    }
}

@Suite("OutboxRelay, woken and tidying up")
struct WakingTests {
    let bench = Bench()

    @Test("a commit wakes the relays of its queue, which look for it without waiting for their poll")
    func commitWakes() async throws {
        let relay = bench.relay(pollInterval: .seconds(3600)) { _ in }
        let run = Task { await relay.run() }
        await bench.untilIdle(for: .seconds(3600) ... .seconds(3600))
        // A copy of the queue, as another part of a program has it.
        let queue = bench.queue
        try await queue.commit([], sending: [OutboxMessage(id: "m1", topic: "t", payload: [])])
        // The clock stands still.
        #expect(await bench.names(1) == ["delivered m1 1"])
        relay.drain()
        await run.value
    }

    @Test("redriving dead messages wakes the relays, too")
    func redriveWakes() async throws {
        try await bench.send("m1")
        for claim in try await bench.memory.claim("test", limit: 1, lease: .seconds(60)) {
            _ = try await bench.memory.settle([Settlement(claim, .dead(reason: "x"))])
        }
        let relay = bench.relay(pollInterval: .seconds(3600)) { _ in }
        let run = Task { await relay.run() }
        await bench.untilIdle(for: .seconds(3600) ... .seconds(3600))
        #expect(try await bench.queue.redriveDead() == 1)
        #expect(await bench.names(1) == ["delivered m1 1"])
        relay.drain()
        await run.value
    }

    @Test("dead messages are removed after their retention, and each removal is reported")
    func retention() async throws {
        try await bench.send("m1", "m2")
        let relay = bench.relay(maxAttempts: 1, deadRetention: .seconds(3600)) { _ in throw Busy() }
        let run = Task { await relay.run() }
        _ = await bench.names(2)
        await bench.clock.waitForSleepers(2)
        bench.clock.stall(for: .seconds(3599))
        await bench.clock.waitForSleepers(2)
        #expect(try await bench.queue.counts() == RecordCounts(pending: 0, dead: 2))
        while bench.events.events.count < 4 {
            bench.clock.stall(for: .seconds(60))
            await Task.yield()
        }
        #expect(Set(await bench.names(4).suffix(2)) == ["removed m1 test.busy", "removed m2 test.busy"])
        #expect(try await bench.queue.counts() == RecordCounts(pending: 0, dead: 0))
        relay.drain()
        await run.value
        #expect(bench.clock.sleeperCount == 0)
    }

    @Test("without a retention, a dead message stays")
    func noRetention() async throws {
        try await bench.send("m1")
        let relay = bench.relay(maxAttempts: 1, pollInterval: .seconds(86_400)) { _ in throw Busy() }
        let run = Task { await relay.run() }
        _ = await bench.names(1)
        for _ in 1...40 {
            await bench.clock.waitForSleepers(1)
            bench.clock.advance(by: .seconds(86_400))
        }
        await bench.clock.waitForSleepers(1)
        #expect(try await bench.queue.counts() == RecordCounts(pending: 0, dead: 1))
        relay.drain()
        await run.value
    }
}
