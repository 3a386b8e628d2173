import Outbox
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@Suite("OutboxRelay.drain(within:)")
struct OutboxRelayDrainTests {
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
        let queue = OutboxQueue("test", store: memory, storeFailure: .failClosed(), clock: clock)
        try await queue.commit([], sending: [OutboxMessage(id: "m1", topic: "t", payload: [])])
        let relay = OutboxRelay(queue: queue, clock: clock, randomness: simulation.generator()) { _ in
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

    @Test("drain returns when everything is delivered", arguments: [Duration.seconds(20), .seconds(Int64.max)])
    func finishes(limit: Duration) throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let outcome = try await drain(simulation, within: limit) { try await $0.sleep(for: .seconds(2)) }
            simulation.expect(outcome.waited < .seconds(2) && outcome.left == 0 && outcome.pending == 0, "\(outcome)")
        }
    }

    @Test("drain cancels late deliveries before the limit and releases them without an attempt")
    func cancelsBeforeTheLimit() throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let outcome = try await drain(simulation, within: .seconds(20)) { try await $0.sleep(for: .seconds(25)) }
            let expected = Outcome(waited: .seconds(15), left: 0, pending: 1, attempts: [0])
            simulation.expect(outcome == expected, "\(outcome)")
        }
    }

    @Test(
        "drain returns at the limit with the number of abandoned handlers",
        arguments: [Duration.zero, .seconds(-1), .milliseconds(1), .seconds(20), .seconds(600)]
    )
    func abandons(limit: Duration) throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let gate = TaskGate()
            let outcome = try await drain(simulation, within: limit) { _ in await gate.pass() }
            let expected = Outcome(waited: max(.zero, limit), left: 1, pending: 1, attempts: [1])
            simulation.expect(outcome == expected, "\(outcome)")
            gate.open()
        }
    }

    @Test("drain returns immediately when its task is cancelled")
    func callerCancelled() throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let gate = TaskGate()
            let outcome = try await drain(simulation, within: .seconds(600), isCallerCancelled: true) { _ in
                await gate.pass()
            }
            simulation.expect(outcome.waited == .zero && outcome.left == 1, "\(outcome)")
            gate.open()
        }
    }

    @Test("drain of a relay that does not run returns immediately")
    func notRunning() async {
        let relay = OutboxRelay(
            queue: OutboxQueue("test", store: InMemoryStore(), storeFailure: .failClosed()),
            clock: ManualClock()
        ) { _ in }
        #expect(await relay.drain(within: .seconds(20)) == 0)
        await relay.run()
    }
}
