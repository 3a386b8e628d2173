import Reliability
import ReliabilityTesting
import Testing

/// What a deadline, a caller who leaves, and a rejection from inside say about a dependency, and about what was sent.
@Suite("Evidence and what was sent, across nested policies")
struct EvidenceTests {
    private struct Failure: Error {}

    private static func breaker(_ simulation: Simulation) -> Breaker {
        Breaker(BreakerConfiguration(trip: .consecutiveFailures(3)), clock: simulation.clock)
    }

    private static func hang(_ simulation: Simulation) async throws {
        try await simulation.clock.sleep(for: .seconds(3600))
    }

    /// Sleeps and ignores cancellation.
    private static func sleepStubbornly(_ simulation: Simulation, _ duration: Duration) async {
        let clock = simulation.clock
        await withoutCallContext {
            await Task(executorPreference: TimeSource(clock).taskExecutor) { try? await clock.sleep(for: duration) }
                .value
        }
    }

    // MARK: A deadline of the caller's

    /// Limits around a breaker, of which one ends the call.
    enum Limit: CaseIterable {
        case timeout, policy, abandoning, movable, ofThree, concurrent
    }

    @Test(
        "a dependency that hangs opens the breaker, though the limit that ends each call is the caller's",
        arguments: Limit.allCases
    )
    func callersDeadline(_ limit: Limit) throws {
        try Simulation.run(seeds: 0..<30) { simulation in
            let breaker = Self.breaker(simulation)
            let clock = simulation.clock
            let call: @Sendable () async throws -> Void = { try await breaker.run { try await Self.hang(simulation) } }
            for _ in 0..<3 {
                switch limit {
                case .timeout:
                    try? await withTimeout(.milliseconds(100), clock: clock, operation: call)
                case .policy:
                    try? await TimeoutPolicy(.milliseconds(100), clock: clock).run(call)
                case .abandoning:
                    try? await withAbandoningTimeout(
                        .milliseconds(100),
                        grace: .seconds(1),
                        abandoned: AbandonedOperations(limit: 10),
                        clock: clock,
                        operation: call
                    )
                case .movable:
                    try? await withTimeout(.milliseconds(100), clock: clock) { deadline in
                        deadline.shorten(to: .milliseconds(50))
                        try await call()
                    }
                case .ofThree:
                    try? await withTimeout(.milliseconds(100), clock: clock) {
                        try await withTimeout(.seconds(9), clock: clock) {
                            try await RetryPolicy(.idempotent, maxAttempts: 2).run(call)
                        }
                    }
                case .concurrent:
                    _ = await withConcurrentTimeouts(
                        [TimedOperation(.milliseconds(100), operation: call)],
                        clock: clock
                    )
                }
            }
            simulation.expect(breaker.state != .closed, "the breaker is closed after three calls that hung")
        }
    }

    /// What an operation may do when the deadline of its caller cancels it, other than throw a `CancellationError`.
    enum CutOff: CaseIterable {
        case returned, rejectedInside, fellBack
    }

    @Test(
        "a dependency that hangs opens the breaker, whatever the operation makes of the deadline",
        arguments: CutOff.allCases
    )
    func cutOff(_ end: CutOff) throws {
        try Simulation.run(seeds: 0..<30) { simulation in
            let breaker = Self.breaker(simulation)
            let clock = simulation.clock
            for _ in 0..<3 {
                try? await withTimeout(.milliseconds(100), clock: clock) {
                    try await breaker.run {
                        switch end {
                        case .returned: try? await Self.hang(simulation)
                        case .rejectedInside:
                            await Self.sleepStubbornly(simulation, .milliseconds(150))
                            try await withTimeout(.seconds(5), clock: clock) {}
                        case .fellBack: _ = try await Fallback(.value(())).run { try await Self.hang(simulation) }
                        }
                    }
                }
            }
            simulation.expect(breaker.state != .closed, "the breaker is closed after three calls that hung")
        }
    }

    @Test("a call that begins after the deadline says nothing about the dependency, which was not asked")
    func begunTooLate() throws {
        try Simulation.run(seeds: 0..<30) { simulation in
            let breaker = Self.breaker(simulation)
            let clock = simulation.clock
            for _ in 0..<5 {
                try? await withTimeout(.milliseconds(100), clock: clock) {
                    await Self.sleepStubbornly(simulation, .milliseconds(150))
                    try await breaker.run { try await Self.hang(simulation) }
                }
            }
            simulation.expect(breaker.state == .closed, "the breaker is \(breaker.state)")
        }
    }

    @Test("a store that heeds the cancellation by a deadline is judged by the policy for a store that is down")
    func storeUnderDeadline() throws {
        try Simulation.run(seeds: 0..<30) { simulation in
            let clock = simulation.clock
            let store = FaultInjectingStore(InMemoryStore(clock: clock), clock: clock)
            store.outage = .slow(.seconds(60))
            let limiter = Limiter(
                .fixedWindow(100, per: .seconds(60)),
                keyspace: "test",
                store: store,
                whenStoreIsDown: .open(),
                clock: clock
            )
            let dedup = Deduplicator(
                DedupConfiguration(.replay(retention: nil), storeFailure: .closed()),
                keyspace: "dedup",
                store: store,
                clock: clock
            )
            try? await withTimeout(.milliseconds(50), clock: clock) {
                let decision = try? await limiter.check("ann")
                simulation.expect(decision?.isUncounted == true, "the limiter decided \(String(describing: decision))")
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

    @Test("callers who leave before their deadline open no breaker, though the calls end after it")
    func callersWhoLeave() throws {
        try Simulation.run(seeds: 0..<30) { simulation in
            let breaker = Self.breaker(simulation)
            for _ in 0..<5 {
                let client = simulation.spawn {
                    try await withTimeout(.milliseconds(100), clock: simulation.clock) {
                        try await breaker.run {
                            await Self.sleepStubbornly(simulation, .milliseconds(300))
                            throw Failure()
                        }
                    }
                }
                try await simulation.clock.sleep(for: .milliseconds(50))
                client.cancel()
                await simulation.waitForClients()
            }
            simulation.expect(breaker.state == .closed, "the breaker is \(breaker.state)")
        }
    }

    @Test("an attempt that loses to a hedge is no evidence, though it ends after the deadline of the whole")
    func loserOfAHedge() throws {
        try Simulation.run(seeds: 0..<30) { simulation in
            let breaker = Self.breaker(simulation)
            let clock = simulation.clock
            for _ in 0..<5 {
                let hedge = HedgePolicy(HedgeConfiguration(after: .fixed(.milliseconds(20))), clock: clock)
                try? await withTimeout(.milliseconds(100), clock: clock) {
                    try await hedge.run { attempt in
                        if attempt == 2 { return }
                        try await breaker.run {
                            await Self.sleepStubbornly(simulation, .milliseconds(300))
                            try Task.checkCancellation()
                        }
                    }
                }
            }
            simulation.expect(breaker.state == .closed, "the breaker is \(breaker.state)")
        }
    }

    @Test("a call that is rejected because no time is left says nothing about the dependency")
    func noTimeLeft() throws {
        try Simulation.run(seeds: 0..<30) { simulation in
            let breaker = Self.breaker(simulation)
            let clock = simulation.clock
            for _ in 0..<5 {
                try? await withTimeout(.milliseconds(100), clock: clock) {
                    await Self.sleepStubbornly(simulation, .milliseconds(150))
                    try await breaker.run { try await withTimeout(.seconds(1), clock: clock) {} }
                }
            }
            simulation.expect(breaker.state == .closed, "the breaker is \(breaker.state)")
        }
    }

    // MARK: What was sent

    /// Rejections that an operation can come to after it has sent something.
    enum Rejection: CaseIterable {
        case limit, abandoningLimit, breaker, limiter, pipeline, retry, hedge, ofTheUsers, retryThatSentNothing
    }

    private struct OwnRejection: ReliabilityError {
        var code: ErrorCode { "shop.busy" }
        var category: ErrorCategory { .unavailable }
        var message: String { "Busy." }
        var retryAfter: Duration? { .zero }
        var isRejection: Bool { true }
    }

    @Test(
        "a call that is not idempotent is sent once, whatever rejection comes from inside after it was sent",
        arguments: Rejection.allCases,
        [true, false]
    )
    func sentOnce(_ rejection: Rejection, hasLimit: Bool) throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let open = Breaker(
                BreakerConfiguration(trip: .consecutiveFailures(1), openFor: .nanoseconds(1)),
                clock: clock
            )
            let spent = Limiter(
                .gcra(1, per: .milliseconds(500)),
                keyspace: "calls",
                store: InMemoryStore(clock: clock),
                whenStoreIsDown: .closed(),
                clock: clock
            )
            let sent = Counter()
            let operation: @Sendable () async throws -> Void = {
                sent.increment()
                // Past the attempt's limit, if there is one.
                await Self.sleepStubbornly(simulation, .milliseconds(150))
                let nested: @Sendable () async throws -> Void = {}
                switch rejection {
                case .limit: try await withTimeout(.nanoseconds(-1), clock: clock, operation: nested)
                case .abandoningLimit:
                    try await withAbandoningTimeout(
                        .zero,
                        grace: .zero,
                        abandoned: AbandonedOperations(limit: 1),
                        clock: clock,
                        operation: nested
                    )
                case .breaker:
                    try? await open.run { throw Failure() }
                    try await open.run(nested)
                case .limiter:
                    _ = try? await spent.require("ann")
                    try await spent.require("ann")
                case .pipeline:
                    try? await open.run { throw Failure() }
                    try await Pipeline { open }.run(nested)
                case .retry:
                    try? await open.run { throw Failure() }
                    try await RetryPolicy(.idempotent, maxAttempts: 1).run { try await open.run(nested) }
                case .hedge:
                    try? await open.run { throw Failure() }
                    try await HedgePolicy(after: .fixed(.seconds(1))).run { _ in try await open.run(nested) }
                case .ofTheUsers: throw OwnRejection()
                case .retryThatSentNothing:
                    // With all its attempts, also past the deadline.
                    try await withoutCallContext {
                        try await Task(executorPreference: TimeSource(clock).taskExecutor) {
                            try await RetryPolicy(
                                RetryConfiguration(.idempotent, maxAttempts: 2, backoff: .none),
                                clock: clock
                            )
                            .run { throw NotSentError(Failure()) }
                        }
                        .value
                    }
                }
            }
            let retry = RetryPolicy(
                RetryConfiguration(.notIdempotent, maxAttempts: 3, backoff: .none),
                classify: { _ in .retry },
                clock: clock
            )
            if hasLimit {
                let pay = Pipeline("pay") {
                    retry
                    TimeoutPolicy(.milliseconds(100), clock: clock)
                }
                try? await pay.run(operation)
            } else {
                try? await retry.run(operation)
            }
            simulation.expect(sent.value == 1, "it was sent \(sent.value) times")
        }
    }

    @Test("in a pipeline, a rejection before the operation begins proves that nothing was sent")
    func provenByThePipeline() throws {
        try Simulation.run(seeds: 0..<10) { simulation in
            let clock = simulation.clock
            let limiter = Limiter(
                .gcra(1, per: .seconds(1)),
                keyspace: "calls",
                store: InMemoryStore(clock: clock),
                whenStoreIsDown: .closed(),
                clock: clock
            )
            _ = try await limiter.require("ann")
            let sent = Counter()
            let pay = Pipeline("pay", clock: clock) {
                RetryPolicy(
                    RetryConfiguration(
                        .notIdempotent,
                        maxAttempts: 3,
                        backoff: .none,
                        maximumRejectionWait: .seconds(5)
                    ),
                    classify: { _ in .retryAfter(.seconds(1)) },
                    clock: clock
                )
                limiter.policy(for: "ann")
            }
            try await pay.run { _ = sent.increment() }
            simulation.expect(sent.value == 1, "it was sent \(sent.value) times")
            // The first attempt now begins the operation.
            try await clock.sleep(for: .seconds(9))
            try? await pay.run {
                sent.increment()
                throw OwnRejection()
            }
            simulation.expect(sent.value == 2, "it was sent \(sent.value - 1) times")
        }
    }

    // MARK: Answers in place of a call

    /// Ways in which the time can be up.
    enum Expiry: CaseIterable {
        case ownLimit, outerLimit, noTimeLeft, nestedLimit, retryWait, limiterWait, abandoned, stubborn, breakerOpen
    }

    @Test("a fallback answers in every way in which the time can be up", arguments: Expiry.allCases)
    func fallbackAnswers(_ expiry: Expiry) throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let clock = simulation.clock
            let asked = Counter()
            let last = LastGoodValue<Int>(maximumAge: .seconds(3600), clock: clock)
            _ = try await Fallback(.stale(last)).run { 7 }
            let fallback = Fallback(
                .source {
                    asked.increment()
                    return 8
                },
                .stale(last)
            )
            let open = Breaker(BreakerConfiguration(trip: .consecutiveFailures(1)), clock: clock)
            try? await open.run { throw Failure() }
            let result = try await withTimeout(.milliseconds(100), clock: clock) {
                if expiry == .noTimeLeft { await Self.sleepStubbornly(simulation, .milliseconds(100)) }
                return try await fallback.run {
                    switch expiry {
                    case .ownLimit, .noTimeLeft:
                        try await withTimeout(.seconds(1), clock: clock) { try await Self.hang(simulation) }
                    case .outerLimit: try await Self.hang(simulation)
                    case .nestedLimit:
                        await Self.sleepStubbornly(simulation, .milliseconds(100))
                        try await withTimeout(.seconds(1), clock: clock) {}
                    case .retryWait:
                        let retry = RetryConfiguration(
                            .idempotent,
                            maxAttempts: 9,
                            backoff: .constant(.milliseconds(30))
                        )
                        try await RetryPolicy(retry, clock: clock).run { throw Failure() }
                    case .limiterWait: try await clock.sleep(for: .seconds(9))
                    case .abandoned:
                        try await withAbandoningTimeout(
                            .seconds(1),
                            grace: .zero,
                            abandoned: AbandonedOperations(limit: 1),
                            clock: clock
                        ) { await Self.sleepStubbornly(simulation, .milliseconds(500)) }
                    case .stubborn:
                        await Self.sleepStubbornly(simulation, .milliseconds(200))
                        try Task.checkCancellation()
                    case .breakerOpen:
                        await Self.sleepStubbornly(simulation, .milliseconds(100))
                        try await open.run {}
                    }
                    return 0
                }
            }
            // A retry that gives up before the deadline leaves time to ask a source.
            let answer = expiry == .retryWait ? 8 : 7
            simulation.expect(result.isFallback && result.value == answer, "it answered \(result)")
            simulation.expect(expiry == .retryWait || asked.value == 0, "a source was asked after the deadline")
        }
    }

    @Test("a caller who leaves gets no fallback, though the call ends after the deadline")
    func noAnswerForCallersWhoLeft() throws {
        try Simulation.run(seeds: 0..<20) { simulation in
            let answered = Counter()
            let client = simulation.spawn {
                try await withTimeout(.milliseconds(100), clock: simulation.clock) {
                    _ = try await Fallback(.value(1)).run {
                        await Self.sleepStubbornly(simulation, .milliseconds(300))
                        throw Failure()
                    }
                    answered.increment()
                }
            }
            try await simulation.clock.sleep(for: .milliseconds(50))
            client.cancel()
            await simulation.waitForClients()
            simulation.expect(answered.value == 0, "the fallback answered")
        }
    }
}
