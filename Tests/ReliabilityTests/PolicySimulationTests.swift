import Reliability
import ReliabilityTesting
import TestSupport
import Testing

@Suite("Simulations of all policies")
struct PolicySimulationTests {
    private static let seeds: Range<UInt64> = 0..<1000

    /// A breaker that a failure has just opened.
    private static func openBreaker(_ simulation: Simulation, probes: Int) async throws -> Breaker {
        let breaker = Breaker(
            Breaker.Configuration(tripCondition: .consecutiveFailures(1), openDuration: .seconds(10), probes: probes),
            clock: simulation.clock
        )
        _ = try? await breaker.run { throw TestError() }
        return breaker
    }

    // MARK: Circuit breaker

    @Test("of k clients at expiry exactly min(k, probes) are admitted")
    func probesAtExpiry() throws {
        try Simulation.run(seeds: Self.seeds) { simulation in
            let probes = simulation.random(in: 1...4)
            let clients = simulation.random(in: 1...12)
            let breaker = try await Self.openBreaker(simulation, probes: probes)
            let bank = ScriptedDependency(
                [.zero: .healthy(latency: .milliseconds(1)...(.seconds(1)))],
                clock: simulation.clock,
                seed: simulation.seed
            )
            for _ in 0..<clients {
                simulation.spawn {
                    try await simulation.clock.sleep(for: .seconds(10))
                    await Task.yield()
                    try await breaker.run { try await bank.call() }
                }
            }
            await simulation.waitForClients()
            simulation.expect(
                bank.history.count == min(clients, probes),
                "\(bank.history.count) of \(clients) were admitted by a breaker with \(probes) probes"
            )
        }
    }

    @Test("a half-open breaker never has more than its probes in flight")
    func probesInFlight() throws {
        try Simulation.run(seeds: Self.seeds) { simulation in
            let probes = simulation.random(in: 1...3)
            let breaker = Breaker(
                Breaker.Configuration(
                    tripCondition: .consecutiveFailures(2),
                    openDuration: .seconds(1),
                    probes: probes
                ),
                clock: simulation.clock
            )
            let bank = ScriptedDependency(
                [.zero: .healthy(latency: .milliseconds(1)...(.milliseconds(900)), errorRate: 0.4)],
                clock: simulation.clock,
                seed: simulation.seed
            )
            let inFlight = ConcurrencyCounter()
            for _ in 0..<10 {
                let client = simulation.spawn {
                    for _ in 0..<6 {
                        try? await breaker.run {
                            // There is no suspension since the admission.
                            let isProbe = breaker.state == .halfOpen
                            if isProbe { inFlight.increment() }
                            defer { if isProbe { inFlight.decrement() } }
                            try await bank.call()
                        }
                        try await simulation.clock.sleep(for: .milliseconds(simulation.random(in: 0...700)))
                    }
                }
                if simulation.random(in: 0...3) == 0 { simulation.cancelSometime(client) }
            }
            await simulation.waitForClients()
            simulation.expect(
                inFlight.peak <= probes,
                "\(inFlight.peak) probes were in flight, of \(probes) allowed"
            )
        }
    }

    @Test("cancelled probes release their places, and the breaker can close")
    func cancelledProbes() throws {
        try Simulation.run(seeds: Self.seeds) { simulation in
            let breaker = try await Self.openBreaker(simulation, probes: 2)
            let due = simulation.clock.now.advanced(by: .seconds(10))
            let bank = ScriptedDependency(
                [.zero: .healthy(latency: .milliseconds(1)...(.seconds(1)))],
                clock: simulation.clock,
                seed: simulation.seed
            )
            for _ in 0..<5 {
                let client = simulation.spawn {
                    try await simulation.clock.sleep(for: .seconds(10))
                    try await withTimeout(.seconds(60), clock: simulation.clock) {
                        try await breaker.run { try await bank.call() }
                    }
                }
                simulation.cancelSometime(client, within: 60)
            }
            await simulation.waitForClients()
            // All clients may have been cancelled before the breaker was due.
            try await simulation.clock.sleep(until: due, tolerance: nil)
            // At most one success is missing for each cancelled probe.
            for _ in 0..<2 where breaker.state != .closed { try await breaker.run { try await bank.call() } }
            simulation.expect(
                breaker.state == .closed,
                "the breaker is \(breaker.state) after as many successes as probes"
            )
        }
    }

    // MARK: Cancellation

    @Test("cancelled callers change no count")
    func cancellation() throws {
        try Simulation.run(seeds: Self.seeds) { simulation in
            let clock = simulation.clock
            let breaker = Breaker(
                Breaker.Configuration(tripCondition: .consecutiveFailures(1), openDuration: .seconds(10)),
                clock: clock
            )
            let budget = RetryBudget(.tokens(capacity: 100), clock: clock)
            let available = budget.available
            let bank = ScriptedDependency(
                [.zero: .healthy(latency: .milliseconds(1)...(.milliseconds(50)))],
                clock: clock,
                seed: simulation.seed
            )
            let pipeline = Pipeline {
                TimeoutPolicy(.seconds(60), clock: clock)
                RetryPolicy(
                    RetryPolicy.Configuration(.idempotent, maxAttempts: 3),
                    budget: budget,
                    clock: clock,
                    randomness: simulation.generator()
                )
                breaker
                TimeoutPolicy(.seconds(10), clock: clock)
            }
            for _ in 0..<10 {
                let client = simulation.spawn { try await pipeline.run { try await bank.call() } }
                simulation.cancelSometime(client, within: 60)
            }
            await simulation.waitForClients()
            simulation.expect(breaker.state == .closed, "the breaker is \(breaker.state)")
            simulation.expect(budget.available == available, "the budget has \(budget.available) of \(available)")
            simulation.expect(clock.sleeperCount == 0, "\(clock.sleeperCount) timers were left behind")
            simulation.expect(bank.inFlight == 0, "\(bank.inFlight) calls were left behind")
        }
    }

    // MARK: Time

    /// A dependency with errors, hanging calls, throttling, rejections and a recovery.
    private static func faultyBank(_ simulation: Simulation) -> ScriptedDependency {
        ScriptedDependency(
            [
                .zero: .healthy(latency: .milliseconds(1)...(.seconds(1)), errorRate: 0.3, capacity: 5),
                .seconds(5): .hanging,
                .seconds(10): .throttling(retryAfter: .seconds(2)),
                .seconds(14): .refusing,
                .seconds(16): .failing(latency: .milliseconds(5)...(.milliseconds(5))),
                .seconds(18): .healthy(latency: .milliseconds(1)...(.seconds(3))),
            ],
            clock: simulation.clock,
            seed: simulation.seed
        )
    }

    @Test("no call ends after its total limit")
    func totalTimeout() throws {
        try Simulation.run(seeds: Self.seeds) { simulation in
            let clock = simulation.clock
            let pipeline = Pipeline {
                TimeoutPolicy(.seconds(8), clock: clock)
                RetryPolicy(
                    RetryPolicy.Configuration(.idempotent, maxAttempts: 6, backoff: .exponential(max: .seconds(5))),
                    clock: clock,
                    randomness: simulation.generator()
                )
                TimeoutPolicy(.seconds(2), clock: clock)
            }
            let bank = Self.faultyBank(simulation)
            for client in 0..<10 {
                simulation.spawn {
                    try await clock.sleep(for: .milliseconds(simulation.random(in: 0...20_000)))
                    let start = clock.now
                    try? await pipeline.run { try await bank.call(from: "\(client)") }
                    let took = start.duration(to: clock.now)
                    simulation.expect(took <= .seconds(8), "client \(client) took \(took)")
                }
            }
            await simulation.waitForClients()
            simulation.expect(clock.sleeperCount == 0, "\(clock.sleeperCount) timers were left behind")
            try bank.history.require(.retryAfterIsHonoured)
        }
    }

    // MARK: Retries

    @Test("retries never exceed the calls times the attempts and end when the breaker opens")
    func retryStorm() throws {
        try Simulation.run(seeds: Self.seeds) { simulation in
            let clock = simulation.clock
            let attempts = simulation.random(in: 1...5)
            let breaker = Breaker(
                Breaker.Configuration(tripCondition: .consecutiveFailures(20), openDuration: .seconds(3600)),
                clock: clock
            )
            let pipeline = Pipeline {
                RetryPolicy(
                    RetryPolicy.Configuration(.idempotent, maxAttempts: attempts),
                    clock: clock,
                    randomness: simulation.generator()
                )
                breaker
            }
            let bank = ScriptedDependency(
                [.zero: .failing(latency: .milliseconds(1)...(.milliseconds(40)))],
                clock: clock,
                seed: simulation.seed
            )
            for _ in 0..<10 {
                let client = simulation.spawn { try await pipeline.run { try await bank.call() } }
                if simulation.random(in: 0...4) == 0 { simulation.cancelSometime(client) }
            }
            await simulation.waitForClients()
            // At most nine other calls are running when the breaker opens.
            let most = min(10 * attempts, 20 + 9)
            simulation.expect(bank.history.count <= most, "\(bank.history.count) attempts, of at most \(most)")
        }
    }

    @Test("two nested retries of a and b attempts make at most a + b − 1 attempts")
    func nestedRetries() throws {
        try Simulation.run(seeds: Self.seeds) { simulation in
            let clock = simulation.clock
            let (outer, inner) = (simulation.random(in: 1...5), simulation.random(in: 1...5))
            func retry(_ attempts: Int) -> RetryPolicy {
                RetryPolicy(
                    RetryPolicy.Configuration(.idempotent, maxAttempts: attempts),
                    clock: clock,
                    randomness: simulation.generator()
                )
            }
            let pipeline = Pipeline {
                retry(outer)
                TimeoutPolicy(.milliseconds(50), clock: clock)
                retry(inner)
            }
            let bank = ScriptedDependency(
                [.zero: .healthy(latency: .milliseconds(1)...(.milliseconds(40)), errorRate: 0.9)],
                clock: clock,
                seed: simulation.seed
            )
            for client in 0..<4 {
                simulation.spawn { try await pipeline.run { try await bank.call(from: "\(client)") } }
            }
            await simulation.waitForClients()
            for client in 0..<4 {
                let attempts = bank.history.calls.count { $0.caller == "\(client)" }
                simulation.expect(attempts <= outer + inner - 1, "\(attempts) attempts of \(outer) in \(inner)")
            }
        }
    }

    @Test("the retries and hedges of every window stay within the budget of its calls")
    func budget() throws {
        try Simulation.run(seeds: Self.seeds) { simulation in
            let clock = simulation.clock
            let budget = RetryBudget(.window(ratio: 0.2, perSecond: 1, over: .seconds(2)), clock: clock)
            let retry = RetryPolicy(
                RetryPolicy.Configuration(
                    .idempotent,
                    maxAttempts: 4,
                    backoff: .exponential(initial: .milliseconds(50))
                ),
                budget: budget,
                clock: clock,
                randomness: simulation.generator()
            )
            let hedge = Hedger(
                Hedger.Configuration(.fixed(.milliseconds(20)), maxHedges: 2),
                budget: budget,
                clock: clock
            )
            let bank = ScriptedDependency(
                [.zero: .healthy(latency: .milliseconds(1)...(.milliseconds(60)), errorRate: 0.5)],
                clock: clock,
                seed: simulation.seed
            )
            for number in 0..<40 {
                let client = simulation.spawn {
                    try await clock.sleep(for: .milliseconds(simulation.random(in: 0...4000)))
                    if number.isMultiple(of: 2) {
                        let calls = ConcurrencyCounter()
                        try await retry.run {
                            try await bank.call(from: calls.increment() == 1 ? "first" : "extra")
                        }
                    } else {
                        try await hedge.run { try await bank.call(from: $0 == 1 ? "first" : "extra") }
                    }
                }
                if simulation.random(in: 0...9) == 0 { simulation.cancelSometime(client, within: 400) }
            }
            await simulation.waitForClients()
            let calls = bank.history.calls
            for last in calls where last.caller == "extra" {
                // Nineteen twentieths of the budget's window. An attempt was reserved up to the longest backoff before
                // its start, and the call of a retry counts up to its latency after its arrival.
                let window = (last.arrival - .milliseconds(1900))...last.arrival
                let counted = (window.lowerBound - .milliseconds(200 + 60))...window.upperBound
                let extras = calls.count { $0.caller == "extra" && window.contains($0.arrival) }
                let requests = calls.count { $0.caller == "first" && counted.contains($0.arrival) }
                let most = 2 + requests / 5
                simulation.expect(
                    extras <= most,
                    "\(extras) extra attempts for \(requests) calls until \(last.arrival)"
                )
            }
        }
    }

    // MARK: All policies

    @Test("with all policies, faults and cancellations every call ends and leaves nothing behind")
    func everything() throws {
        try Simulation.run(seeds: Self.seeds, Self.everything)
    }

    @Test("the same seed repeats the same run")
    func deterministic() throws {
        for seed in 0..<20 as Range<UInt64> {
            let trace = try Simulation.run(seed: seed, Self.everything)
            #expect(trace.count > 100)
            #expect(try Simulation.run(seed: seed, Self.everything) == trace)
        }
    }

    @Sendable
    private static func everything(_ simulation: Simulation) async throws {
        let clock = simulation.clock
        let budget = RetryBudget(.tokens(capacity: 100), clock: clock)
        let breaker = Breaker(
            Breaker.Configuration(tripCondition: .consecutiveFailures(3), openDuration: .seconds(2), probes: 2),
            clock: clock
        )
        let limiter = Limiter(
            .gcra(50, per: .seconds(1)),
            keyspace: "limits",
            store: InMemoryStore(clock: clock),
            storeFailure: .failClosed(),
            clock: clock
        )
        let hedge = Hedger(Hedger.Configuration(.fixed(.milliseconds(500))), budget: budget, clock: clock)
        let chaos = ChaosSwitch(clock: clock)
        chaos.arm(for: .seconds(30))
        func chaosPolicy(_ fault: ChaosFault, rate: Double) -> ChaosPolicy {
            ChaosPolicy(fault, rate: rate, when: chaos, randomness: simulation.generator())
        }
        let attempt = Pipeline {
            limiter.policy(for: ["customer"])
            breaker
            TimeoutPolicy(.seconds(2), clock: clock)
            chaosPolicy(.hang, rate: 0.1)
            chaosPolicy(.latency(.milliseconds(1)...(.seconds(3))), rate: 0.1)
            chaosPolicy(.lostAnswer(TestError()), rate: 0.1)
        }
        let call = Pipeline {
            TimeoutPolicy(.seconds(8), clock: clock)
            RetryPolicy(
                RetryPolicy.Configuration(.idempotent, maxAttempts: 4),
                budget: budget,
                clock: clock,
                randomness: simulation.generator()
            )
        }
        let bank = faultyBank(simulation)
        for client in 0..<10 {
            let task = simulation.spawn {
                try await clock.sleep(for: .milliseconds(simulation.random(in: 0...20_000)))
                try await call.run {
                    try await hedge.run { _ in try await attempt.run { try await bank.call(from: "\(client)") } }
                }
            }
            if simulation.random(in: 0...2) == 0 { simulation.cancelSometime(task, within: 500) }
        }
        await simulation.waitForClients()
        simulation.expect(clock.sleeperCount == 0, "\(clock.sleeperCount) timers were left behind")
        simulation.expect(bank.inFlight == 0, "\(bank.inFlight) calls were left behind")
    }
}
