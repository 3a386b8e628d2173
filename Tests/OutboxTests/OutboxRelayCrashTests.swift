import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Retry
import TestSupport
import Testing

@testable import Outbox

@Suite("OutboxRelay after crashes")
struct OutboxRelayCrashTests {
    /// Runs one process after another over one store until nothing is pending.
    ///
    /// - Parameters:
    ///   - simulation: The simulation.
    ///   - memory: The store.
    ///   - poisons: The messages whose delivery ends the process.
    ///   - maxAttempts: The number of deliveries of a message.
    ///   - inside: Counts the current deliveries.
    ///   - delivered: Records the delivered messages.
    /// - Returns: The time of each crash since the beginning.
    /// - Throws: An error of the store.
    private func runProcesses(
        _ simulation: Simulation,
        _ memory: InMemoryStore,
        poisons: Set<String>,
        maxAttempts: Int,
        inside: ConcurrencyCounter = ConcurrencyCounter(),
        delivered: EventRecorder<String>
    ) async throws -> [Duration] {
        let clock = simulation.clock
        let start = clock.now
        var crashes: [Duration] = []
        for _ in 0..<100 {
            if try await memory.counts("test").pending == 0 { break }
            // A process that has ended cannot reach the store.
            let process = FaultInjectingStore(memory, clock: clock)
            let crash = ConcurrencyCounter()
            let relay = OutboxRelay(
                OutboxRelay.Configuration(
                    maxAttempts: maxAttempts,
                    backoff: .none,
                    deliveryTimeout: .seconds(5),
                    lease: .seconds(1),
                    pollInterval: .seconds(60)
                ),
                queue: OutboxQueue("test", store: process, storeFailure: .failClosed(), clock: clock),
                clock: clock,
                randomness: simulation.generator()
            ) { delivery in
                if crash.value > 0 { return try await hang() }
                let count = inside.increment()
                defer { inside.decrement() }
                let id = delivery.message.id
                simulation.expect(delivery.attempt == 1 || count == 1, "\(id) is delivered again beside others")
                try await clock.sleep(for: .milliseconds(simulation.random(in: 1...50)))
                if poisons.contains(id) {
                    process.outage = .reject(.closed)
                    crash.increment()
                    return try await hang()
                }
                delivered.record(id)
            }
            let run = simulation.spawn { await relay.run() }
            while crash.value == 0, try await memory.counts("test").pending > 0 {
                try await clock.sleep(for: .seconds(3))
            }
            if crash.value > 0 { crashes.append(start.duration(to: clock.now)) }
            run.cancel()
            _ = try await run.value
            try await clock.sleep(for: .milliseconds(1100))
        }
        return crashes
    }

    /// Creates a relay that cancels a handler after ten seconds and reports the handler two seconds later.
    private func relay(
        _ simulation: Simulation,
        _ queue: OutboxQueue,
        handler: @escaping @Sendable (OutboxDelivery) async throws -> Void
    ) -> OutboxRelay {
        OutboxRelay(
            OutboxRelay.Configuration(deliveryTimeout: .seconds(10), cancellationGrace: .seconds(2)),
            queue: queue,
            clock: simulation.clock,
            randomness: simulation.generator(),
            handler: handler
        )
    }

    private func enqueue(_ ids: [String], in memory: InMemoryStore) async throws {
        let queue = OutboxQueue("test", store: memory, storeFailure: .failClosed())
        _ = try await memory.enqueue(ids.map { queue.record(for: OutboxMessage(id: $0, topic: "t", payload: [])) })
    }

    /// Sends a message with an unsettled delivery, as after a crash.
    private func enqueueUnsettled(_ id: String, in memory: InMemoryStore, _ clock: ManualClock) async throws {
        try await enqueue([id], in: memory)
        _ = try await memory.claim("test", limit: 1, lease: .milliseconds(1))
        try await clock.sleep(for: .milliseconds(2))
    }

    @Test(
        "only the messages that end the process become dead letters",
        arguments: [(poisons: 1, maxAttempts: 20), (1, 2), (2, 3), (3, 20)]
    )
    func ordinaryMessages(poisons: Int, maxAttempts: Int) throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let memory = InMemoryStore(clock: simulation.clock)
            var ids = (0..<poisons).map { "poison \($0)" } + (poisons..<8).map { "ordinary \($0)" }
            // The seed determines the order.
            for index in ids.indices { ids.swapAt(index, simulation.random(in: index...ids.count - 1)) }
            try await enqueue(ids, in: memory)
            let delivered = EventRecorder<String>()
            let crashes = try await runProcesses(
                simulation,
                memory,
                poisons: Set(ids.filter { $0.hasPrefix("poison") }),
                maxAttempts: maxAttempts,
                delivered: delivered
            )
            let dead = try await memory.page("test", .deadLetter, after: nil, limit: 10).records.map(\.id)
            simulation.expect(dead == ids.filter { $0.hasPrefix("poison") }.sorted(), "dead are \(dead)")
            let there = Set(delivered.events)
            simulation.expect(there.count == 8 - poisons, "delivered were \(there)")
            simulation.expect(crashes.count <= poisons * maxAttempts, "\(crashes.count) crashes")
        }
    }

    @Test("a message that ends the process does so less and less often")
    func backsOff() throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let memory = InMemoryStore(clock: simulation.clock)
            try await enqueue(["poison"], in: memory)
            let crashes = try await runProcesses(
                simulation,
                memory,
                poisons: ["poison"],
                maxAttempts: 20,
                delivered: EventRecorder()
            )
            simulation.expect(crashes.count == 20, "\(crashes.count) crashes")
            let early = crashes.count { $0 < .seconds(60) }
            simulation.expect(early <= 7, "\(early) crashes in the first minute")
        }
    }

    @Test("an unsettled message does not delay others while it waits")
    func others() throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let memory = InMemoryStore(clock: clock)
            try await enqueue(["unsettled"], in: memory)
            for _ in 1...8 {
                _ = try await memory.claim("test", limit: 1, lease: .milliseconds(1))
                try await clock.sleep(for: .milliseconds(2))
            }
            let delivered = EventRecorder<String>()
            let queue = OutboxQueue("test", store: memory, storeFailure: .failClosed(), clock: clock)
            let relay = OutboxRelay(queue: queue, clock: clock, randomness: simulation.generator()) { delivery in
                delivered.record(delivery.message.id)
            }
            let run = simulation.spawn { await relay.run() }
            let start = clock.now
            for number in 0..<50 {
                try await queue.commit([], sending: [OutboxMessage(id: "\(number)", topic: "t", payload: [])])
                try await clock.sleep(for: .milliseconds(10))
            }
            simulation.expect(delivered.events == (0..<50).map { "\($0)" }, "\(delivered.events)")
            while try await queue.counts().pending > 0 { try await clock.sleep(for: .seconds(1)) }
            let waited = start.duration(to: clock.now)
            simulation.expect(waited > .seconds(60) && waited < .seconds(140), "it waited for \(waited)")
            relay.drain()
            _ = try await run.value
        }
    }

    @Test("an unsettled message that hangs delays others by at most its timeout and grace")
    func hangs() throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let memory = InMemoryStore(clock: clock)
            try await enqueue(["unsettled"], in: memory)
            _ = try await memory.claim("test", limit: 1, lease: .milliseconds(1))
            try await clock.sleep(for: .seconds(2))
            try await enqueue(["other"], in: memory)
            let queue = OutboxQueue("test", store: memory, storeFailure: .failClosed(), clock: clock)
            let gate = TaskGate()
            let others = EventRecorder<Duration>()
            let start = clock.now
            let relay = relay(simulation, queue) { delivery in
                if delivery.message.id == "unsettled" { return await gate.pass() }
                others.record(start.duration(to: clock.now))
            }
            let run = simulation.spawn { await relay.run() }
            try await clock.sleep(for: .seconds(2))
            try await enqueue(["later"], in: memory)
            relay.wake()
            try await clock.sleep(for: .seconds(30))
            let waited = others.events
            simulation.expect(waited.count == 2 && waited.allSatisfy { $0 < .seconds(14) }, "\(waited)")
            gate.open()
            relay.drain()
            _ = try await run.value
            let counts = try await queue.counts()
            simulation.expect(counts == RecordCounts(pending: 0, deadLetters: 0), "\(counts)")
        }
    }

    @Test("unsettled and later messages are delivered while another handler hangs")
    func besideHanging() throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let memory = InMemoryStore(clock: clock)
            let queue = OutboxQueue("test", store: memory, storeFailure: .failClosed(), clock: clock)
            let gate = TaskGate()
            let delivered = EventRecorder<String>()
            let relay = relay(simulation, queue) { delivery in
                if delivery.message.id == "hanging" { return await gate.pass() }
                delivered.record(delivery.message.id)
            }
            try await enqueue(["hanging"], in: memory)
            let run = simulation.spawn { await relay.run() }
            try await clock.sleep(for: .seconds(simulation.random(in: 5...15)))
            try await enqueueUnsettled("unsettled", in: memory, clock)
            relay.wake()
            try await clock.sleep(for: .milliseconds(1))
            try await enqueue(["later"], in: memory)
            relay.wake()
            try await clock.sleep(for: .seconds(30))
            simulation.expect(delivered.events == ["unsettled", "later"], "\(delivered.events)")
            gate.open()
            relay.drain()
            _ = try await run.value
        }
    }

    @Test("an unsettled message is delivered after an earlier hanging handler returned", arguments: [true, false])
    func earlierReturns(isSlowUnderWay: Bool) throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let memory = InMemoryStore(clock: clock)
            let queue = OutboxQueue("test", store: memory, storeFailure: .failClosed(), clock: clock)
            let (gate, slow) = (TaskGate(), TaskGate())
            let delivered = EventRecorder<String>()
            let relay = relay(simulation, queue) { delivery in
                switch delivery.message.id {
                case "first": await gate.pass()
                case "slow": await slow.pass()
                default: break
                }
                delivered.record(delivery.message.id)
            }
            let run = simulation.spawn { await relay.run() }
            try await clock.sleep(for: .seconds(2))
            try await enqueueUnsettled("first", in: memory, clock)
            relay.wake()
            try await clock.sleep(for: .milliseconds(simulation.random(in: 10...1000)))
            try await clock.sleep(for: .seconds(13))
            try await enqueue(["slow"], in: memory)
            relay.wake()
            try await clock.sleep(for: .milliseconds(10))
            try await enqueueUnsettled("second", in: memory, clock)
            relay.wake()
            try await clock.sleep(for: .milliseconds(simulation.random(in: 10...1000)))
            if !isSlowUnderWay { slow.open() }
            gate.open()
            try await clock.sleep(for: .milliseconds(10))
            if isSlowUnderWay { simulation.expect(delivered.events == ["first"], "\(delivered.events)") }
            slow.open()
            try await clock.sleep(for: .seconds(6))
            simulation.expect(Set(delivered.events) == ["first", "slow", "second"], "\(delivered.events)")
            relay.drain()
            _ = try await run.value
        }
    }

    @Test(
        "an unsettled message that waits for its turn is released unchanged when the relay stops",
        arguments: [true, false]
    )
    func stopsBeforeItsTurn(isCancelled: Bool) async throws {
        let released = EventRecorder<String>()
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let memory = InMemoryStore(clock: clock)
            let queue = OutboxQueue("test", store: memory, storeFailure: .failClosed(), clock: clock)
            try await enqueue(["slow"], in: memory)
            let relay = OutboxRelay(
                queue: queue,
                clock: clock,
                randomness: simulation.generator(),
                observer: { if case .released("unsettled") = $0 { released.record("unsettled") } }
            ) { _ in try await clock.sleep(for: .seconds(20)) }
            let run = simulation.spawn { await relay.run() }
            try await clock.sleep(for: .seconds(5))
            try await enqueueUnsettled("unsettled", in: memory, clock)
            relay.wake()
            try await clock.sleep(for: .seconds(1))
            let held = try await memory.page("test", .pending, after: nil, limit: 9).records
            simulation.expect(held.map(\.isLeased) == [true, true], "\(held)")
            if isCancelled { run.cancel() } else { relay.drain() }
            _ = try await run.value
            let claims = try await memory.claim("test", limit: 9, lease: .seconds(1))
            let unsettled = claims.first { $0.id == "unsettled" }
            simulation.expect(unsettled?.attempt == 2 && unsettled?.wasAbandoned == true, "\(claims)")
            simulation.expect(claims.count == (isCancelled ? 2 : 1), "\(claims)")
        }
        #expect(await released.wait(for: 10).count == 10)
    }
}
