import Reliability
import ReliabilityStoreTesting
import ReliabilityTesting
import TestSupport
import Testing

@Suite("Deadlines of the caller")
struct CallerDeadlineTests {
    private typealias BreakerCall = @Sendable (Simulation, Breaker) async throws -> Void

    /// Simulates `count` calls through a breaker that opens after three failures, and then checks the breaker.
    private func simulate(
        _ count: Int,
        _ call: @escaping BreakerCall,
        check: @escaping @Sendable (Simulation, Breaker) -> Void
    ) throws {
        try Simulation.run(seeds: 0..<30) { simulation in
            let configuration = Breaker.Configuration(tripCondition: .consecutiveFailures(3))
            let breaker = Breaker(configuration, clock: simulation.clock)
            for _ in 0..<count { try await call(simulation, breaker) }
            check(simulation, breaker)
        }
    }

    /// Expects that three calls open the breaker.
    private func expectFailures(_ call: @escaping BreakerCall) throws {
        try simulate(3, call) { simulation, breaker in
            simulation.expect(breaker.state != .closed, "the breaker is closed after three calls that hung")
        }
    }

    /// Expects that five calls leave the breaker closed.
    private func expectNoFailures(_ call: @escaping BreakerCall) throws {
        try simulate(5, call) { simulation, breaker in
            simulation.expect(breaker.state == .closed, "the breaker is \(breaker.state)")
        }
    }

    /// A limit of the caller around a breaker.
    enum Limit: CaseIterable {
        case timeout, policy, abandoning, movable, nested, concurrent
    }

    @Test(
        "a dependency that hangs opens the breaker, even if the caller's limit ends each call",
        arguments: Limit.allCases
    )
    func callersDeadline(_ limit: Limit) throws {
        try expectFailures { simulation, breaker in
            let clock = simulation.clock
            let call: @Sendable () async throws -> Void = { try await breaker.run { try await simulation.hang() } }
            switch limit {
            case .timeout:
                try? await withTimeout(.milliseconds(100), clock: clock, operation: call)
            case .policy:
                try? await TimeoutPolicy(.milliseconds(100), clock: clock).run(call)
            case .abandoning:
                try? await withAbandoningTimeout(
                    .milliseconds(100),
                    grace: .seconds(1),
                    abandoned: AbandonedOperations(maxCount: 10),
                    clock: clock,
                    operation: call
                )
            case .movable:
                try? await withTimeout(.milliseconds(100), clock: clock) { deadline in
                    deadline.shorten(toAtMost: .milliseconds(50))
                    try await call()
                }
            case .nested:
                try? await withTimeout(.milliseconds(100), clock: clock) {
                    try await withTimeout(.seconds(9), clock: clock) {
                        try await RetryPolicy(.idempotent(maxAttempts: 2)).run(call)
                    }
                }
            case .concurrent:
                _ = await withConcurrentTimeouts(
                    [TimedOperation(.milliseconds(100), operation: call)],
                    clock: clock
                )
            }
        }
    }

    /// An end of an operation at the deadline of its caller, other than a `CancellationError`.
    enum EndAtDeadline: CaseIterable {
        case returned, rejectedInside, fellBack
    }

    @Test(
        "a dependency that hangs opens the breaker, regardless of how the operation ends at the deadline",
        arguments: EndAtDeadline.allCases
    )
    func endAtDeadline(_ end: EndAtDeadline) throws {
        try expectFailures { simulation, breaker in
            let clock = simulation.clock
            try? await withTimeout(.milliseconds(100), clock: clock) {
                try await breaker.run {
                    switch end {
                    case .returned: try? await simulation.hang()
                    case .rejectedInside:
                        await simulation.sleepIgnoringCancellation(for: .milliseconds(150))
                        try await withTimeout(.seconds(5), clock: clock) {}
                    case .fellBack: _ = try await Fallback(.value(())).run { try await simulation.hang() }
                    }
                }
            }
        }
    }

    @Test("a call that starts after the deadline is not a failure of the dependency")
    func startedAfterDeadline() throws {
        try expectNoFailures { simulation, breaker in
            try? await withTimeout(.milliseconds(100), clock: simulation.clock) {
                await simulation.sleepIgnoringCancellation(for: .milliseconds(150))
                try await breaker.run { try await simulation.hang() }
            }
        }
    }

    @Test("a call that is rejected for lack of time is not a failure of the dependency")
    func noTimeLeft() throws {
        try expectNoFailures { simulation, breaker in
            let clock = simulation.clock
            try? await withTimeout(.milliseconds(100), clock: clock) {
                await simulation.sleepIgnoringCancellation(for: .milliseconds(150))
                try await breaker.run { try await withTimeout(.seconds(1), clock: clock) {} }
            }
        }
    }

    @Test("calls cancelled before their deadline open no breaker, even if they end after the deadline")
    func cancelledBeforeDeadline() throws {
        try expectNoFailures { simulation, breaker in
            let client = simulation.spawn {
                try await withTimeout(.milliseconds(100), clock: simulation.clock) {
                    try await breaker.run {
                        await simulation.sleepIgnoringCancellation(for: .milliseconds(300))
                        throw TestError()
                    }
                }
            }
            try await simulation.clock.sleep(for: .milliseconds(50))
            client.cancel()
            await simulation.waitForClients()
        }
    }

    @Test("a losing attempt is not a failure, even if it ends after the deadline")
    func losingAttempt() throws {
        try expectNoFailures { simulation, breaker in
            let clock = simulation.clock
            let hedge = Hedger(Hedger.Configuration(.fixed(.milliseconds(20))), clock: clock)
            try? await withTimeout(.milliseconds(100), clock: clock) {
                try await hedge.run { attempt in
                    if attempt == 2 { return }
                    try await breaker.run {
                        await simulation.sleepIgnoringCancellation(for: .milliseconds(300))
                        try Task.checkCancellation()
                    }
                }
            }
        }
    }

    @Test("a store call that a deadline cancels is handled by the store failure mode")
    func storeUnderDeadline() throws {
        try Simulation.run(seeds: 0..<30) { simulation in
            let clock = simulation.clock
            let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock)
            store.outage = .slow(.seconds(60))
            let limiter = Limiter(
                .fixedWindow(100, per: .seconds(60)),
                keyspace: "test",
                store: store,
                storeFailure: .failOpen(),
                clock: clock
            )
            let dedup = Deduplicator(
                .replay(retention: nil),
                keyspace: "dedup",
                store: store,
                storeFailure: .failClosed(),
                clock: clock
            )
            try? await withTimeout(.milliseconds(50), clock: clock) {
                let decision = try? await limiter.tryConsume(["ann"])
                simulation.expect(decision?.failedOpen == true, "the limiter decided \(String(describing: decision))")
            }
            try? await withTimeout(.milliseconds(50), clock: clock) {
                do {
                    _ = try await dedup.run("charge", ["ann"]) { _ in "" }
                } catch {
                    simulation.expect(error is DedupError, "the deduplicator threw \(error)")
                    throw error
                }
            }
            store.outage = nil
        }
    }
}
