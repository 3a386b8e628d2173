import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Retry
import Testing

@testable import Outbox

@Suite("A message that ends the process")
struct CrashTests {
    /// Runs one process after another over one store until nothing is pending.
    ///
    /// - Parameters:
    ///   - simulation: The simulation.
    ///   - memory: The store.
    ///   - poisons: The messages whose delivery ends the process.
    ///   - maxAttempts: How many deliveries a message gets.
    ///   - inside: Counts the deliveries that are under way.
    ///   - delivered: Records what was delivered.
    /// - Returns: When each process crashed, from the beginning.
    /// - Throws: What the store throws.
    private func runProcesses(
        _ simulation: Simulation,
        _ memory: InMemoryStore,
        poisons: Set<String>,
        maxAttempts: Int,
        inside: Counter = Counter(),
        delivered: EventRecorder<String>
    ) async throws -> [Duration] {
        let clock = simulation.clock
        let start = clock.now
        var crashes: [Duration] = []
        for _ in 0..<100 {
            if try await memory.counts("test").pending == 0 { break }
            // A process that has ended reaches the store no more.
            let process = FaultInjectingStore(memory, clock: clock)
            let crash = Counter()
            let relay = OutboxRelay(
                OutboxQueue("test", store: process),
                OutboxRelayConfiguration(
                    maxAttempts: maxAttempts,
                    backoff: .none,
                    timeLimit: .seconds(5),
                    lease: .seconds(1),
                    pollInterval: .seconds(60)
                ),
                clock: clock,
                randomness: simulation.generator()
            ) { delivery in
                if crash.value > 0 { return try await untilCancelled() }
                let count = inside.increment()
                defer { inside.decrement() }
                let id = delivery.message.id
                simulation.expect(delivery.attempt == 1 || count == 1, "\(id) is delivered again beside others")
                try await clock.sleep(for: .milliseconds(simulation.random(in: 1...50)))
                if poisons.contains(id) {
                    process.outage = .refuse(.closed)
                    crash.increment()
                    return try await untilCancelled()
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

    private func enqueue(_ ids: [String], in memory: InMemoryStore) async throws {
        let queue = OutboxQueue("test", store: memory)
        _ = try await memory.enqueue(ids.map { queue.record(for: OutboxMessage(id: $0, topic: "t", payload: [])) })
    }

    /// Sends a message whose delivery nobody settled, as after a crash.
    private func enqueueSuspect(_ id: String, in memory: InMemoryStore, _ clock: ManualClock) async throws {
        try await enqueue([id], in: memory)
        _ = try await memory.claim("test", limit: 1, lease: .milliseconds(1))
        try await clock.sleep(for: .milliseconds(2))
    }

    @Test(
        "is the only one that is dead in the end, whatever was under way with it",
        arguments: [(poisons: 1, maxAttempts: 20), (1, 2), (2, 3), (3, 20)]
    )
    func innocents(poisons: Int, maxAttempts: Int) throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let memory = InMemoryStore(clock: simulation.clock)
            var ids = (0..<poisons).map { "poison \($0)" } + (poisons..<8).map { "innocent \($0)" }
            // In an order that follows from the seed.
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
            let dead = try await memory.page("test", .dead, after: nil, limit: 10).records.map(\.id)
            simulation.expect(dead == ids.filter { $0.hasPrefix("poison") }.sorted(), "dead are \(dead)")
            let there = Set(delivered.events)
            simulation.expect(there.count == 8 - poisons, "delivered were \(there)")
            simulation.expect(crashes.count <= poisons * maxAttempts, "\(crashes.count) crashes")
        }
    }

    @Test("ends it less and less often, however fast that is started again")
    func waits() throws {
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

    @Test("holds up no other message while it waits for its next delivery")
    func othersGoOn() throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let memory = InMemoryStore(clock: clock)
            try await enqueue(["suspect"], in: memory)
            for _ in 1...8 {
                _ = try await memory.claim("test", limit: 1, lease: .milliseconds(1))
                try await clock.sleep(for: .milliseconds(2))
            }
            let delivered = EventRecorder<String>()
            let queue = OutboxQueue("test", store: memory)
            let relay = OutboxRelay(queue, clock: clock, randomness: simulation.generator()) { delivery in
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

    @Test("and hangs at its next delivery holds up the others no longer than its time limit and the grace")
    func hangs() throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let memory = InMemoryStore(clock: clock)
            try await enqueue(["suspect"], in: memory)
            _ = try await memory.claim("test", limit: 1, lease: .milliseconds(1))
            try await clock.sleep(for: .seconds(2))
            try await enqueue(["other"], in: memory)
            let queue = OutboxQueue("test", store: memory)
            let gate = Gate()
            let others = EventRecorder<Duration>()
            let start = clock.now
            let relay = OutboxRelay(
                queue,
                OutboxRelayConfiguration(timeLimit: .seconds(10), cancellationGrace: .seconds(2)),
                clock: clock,
                randomness: simulation.generator()
            ) { delivery in
                if delivery.message.id == "suspect" { return await gate.pass() }
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
            simulation.expect(counts == RecordCounts(pending: 0, dead: 0), "\(counts)")
        }
    }

    @Test("is delivered although another handler hangs, and so are the others")
    func besideHanging() throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let memory = InMemoryStore(clock: clock)
            let queue = OutboxQueue("test", store: memory)
            let gate = Gate()
            let delivered = EventRecorder<String>()
            let relay = OutboxRelay(
                queue,
                OutboxRelayConfiguration(timeLimit: .seconds(10), cancellationGrace: .seconds(2)),
                clock: clock,
                randomness: simulation.generator()
            ) { delivery in
                if delivery.message.id == "hanging" { return await gate.pass() }
                delivered.record(delivery.message.id)
            }
            try await enqueue(["hanging"], in: memory)
            let run = simulation.spawn { await relay.run() }
            try await clock.sleep(for: .seconds(simulation.random(in: 5...15)))
            try await enqueueSuspect("suspect", in: memory, clock)
            relay.wake()
            try await clock.sleep(for: .milliseconds(1))
            try await enqueue(["later"], in: memory)
            relay.wake()
            try await clock.sleep(for: .seconds(30))
            simulation.expect(delivered.events == ["suspect", "later"], "\(delivered.events)")
            gate.open()
            relay.drain()
            _ = try await run.value
        }
    }

    @Test(
        "and waits for its turn gets it, although an earlier one that hung returns meanwhile",
        arguments: [true, false]
    )
    func earlierReturns(isSlowUnderWay: Bool) throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let memory = InMemoryStore(clock: clock)
            let queue = OutboxQueue("test", store: memory)
            let (gate, slow) = (Gate(), Gate())
            let delivered = EventRecorder<String>()
            let relay = OutboxRelay(
                queue,
                OutboxRelayConfiguration(timeLimit: .seconds(10), cancellationGrace: .seconds(2)),
                clock: clock,
                randomness: simulation.generator()
            ) { delivery in
                switch delivery.message.id {
                case "first": await gate.pass()
                case "slow": await slow.pass()
                default: break
                }
                delivered.record(delivery.message.id)
            }
            let run = simulation.spawn { await relay.run() }
            try await clock.sleep(for: .seconds(2))
            try await enqueueSuspect("first", in: memory, clock)
            relay.wake()
            try await clock.sleep(for: .milliseconds(simulation.random(in: 10...1000)))
            try await clock.sleep(for: .seconds(13))
            try await enqueue(["slow"], in: memory)
            relay.wake()
            try await clock.sleep(for: .milliseconds(10))
            try await enqueueSuspect("second", in: memory, clock)
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

    @Test("is given back as it was when the relay stops before its turn", arguments: [true, false])
    func stopsBeforeItsTurn(isCancelled: Bool) throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let memory = InMemoryStore(clock: clock)
            let queue = OutboxQueue("test", store: memory)
            try await enqueue(["slow"], in: memory)
            let relay = OutboxRelay(queue, clock: clock, randomness: simulation.generator()) { _ in
                try await clock.sleep(for: .seconds(20))
            }
            let run = simulation.spawn { await relay.run() }
            try await clock.sleep(for: .seconds(5))
            try await enqueueSuspect("suspect", in: memory, clock)
            relay.wake()
            try await clock.sleep(for: .seconds(1))
            let held = try await memory.page("test", .pending, after: nil, limit: 9).records
            simulation.expect(held.map(\.isLeased) == [true, true], "\(held)")
            if isCancelled { run.cancel() } else { relay.drain() }
            _ = try await run.value
            let claims = try await memory.claim("test", limit: 9, lease: .seconds(1))
            let suspect = claims.first { $0.id == "suspect" }
            simulation.expect(suspect?.attempt == 2 && suspect?.wasAbandoned == true, "\(claims)")
            simulation.expect(claims.count == (isCancelled ? 2 : 1), "\(claims)")
        }
    }

    @Test("of some claims, at most one is delivered alone and then no other one is delivered")
    func plans() {
        func claim(_ id: Int, attempt: Int, _ wasAbandoned: Bool) -> RecordClaim {
            RecordClaim(
                queue: "q",
                id: "\(id)",
                payload: [],
                attempt: attempt,
                token: StoreVersion(rawValue: 1),
                wasAbandoned: wasAbandoned
            )
        }
        // Each of three claims is innocent, a suspect after 1, 3 or 5 deliveries, or one that had them all.
        let kinds = [(1, false), (3, false), (2, true), (4, true), (6, true), (9, true)]
        for first in kinds {
            for second in kinds {
                for third in kinds {
                    let claims = [first, second, third].enumerated().map { claim($0, attempt: $1.0, $1.1) }
                    let plan = ClaimPlan(claims, maxAttempts: 8, uptime: .seconds(3)) { .seconds($0) }
                    let all = plan.deliveries + (plan.alone.map { [$0] } ?? []) + plan.returns.map(\.claim)
                    #expect(Set(all) == Set(claims) && all.count == 3)
                    let ready = claims.filter { $0.wasAbandoned && $0.attempt <= 4 }
                    #expect(plan.alone == ready.first)
                    if plan.alone != nil { #expect(plan.deliveries.isEmpty) }
                    #expect(plan.deliveries.allSatisfy { !$0.wasAbandoned || $0.attempt > 8 })
                    for back in plan.returns {
                        let isEarly = back.claim.wasAbandoned && back.claim.attempt == 6
                        #expect(back.wait == (isEarly ? .seconds(2) : .zero))
                        let isHeldBack = back.settlement.action == .holdBack(back.wait)
                        #expect(isHeldBack == back.claim.wasAbandoned)
                    }
                }
            }
        }
    }
}
