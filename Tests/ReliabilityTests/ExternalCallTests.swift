import ReliabilityTesting
import Testing

@testable import Reliability

@Suite("ExternalCall")
struct ExternalCallTests {
    private struct Failure: Error {}
    private let clock = ManualClock()

    private typealias Preset = (name: String, make: @Sendable (Idempotency) -> ExternalCallConfiguration)
    private static let presets: [Preset] = [
        ("externalAPI", { .externalAPI($0) }), ("database", { .database($0) }), ("cache", { .cache($0) }),
        ("email", { .email($0) }), ("fileUpload", { .fileUpload($0) }), ("webhook", { .webhook($0) }),
    ]

    private func call(
        _ configuration: ExternalCallConfiguration = .externalAPI(.idempotent),
        observer: (@Sendable (CallRecord) -> Void)? = nil
    ) -> ExternalCall {
        ExternalCall("payments", configuration, clock: clock, observer: observer)
    }

    @Test("every preset fits into its own limit, with no warning")
    func presets() {
        for (name, make) in Self.presets {
            for idempotency in [Idempotency.idempotent, .notIdempotent] {
                let configuration = make(idempotency)
                #expect(configuration.problems() == [], "\(name)")
                #expect(configuration.idempotency == idempotency)
                #expect(configuration.maxAttempts <= 10)
                #expect(configuration.breakerTrip == .standard)
                let call = ExternalCall(name, configuration)
                #expect(call.warnings == [], "\(name)")
                #expect(call.worstCase == WorstCase(configuration.totalLimit, configuration.maxAttempts), "\(name)")
            }
        }
        let limits = Self.presets.map { $0.make(.idempotent).totalLimit }
        #expect(limits == [.seconds(8), .seconds(10), .seconds(2), .seconds(10), .seconds(30), .seconds(15)])
    }

    @Test("where configured, a call that is given up throws what its last attempt threw")
    func rethrowsLastError() async {
        var configuration = ExternalCallConfiguration.externalAPI(.idempotent)
        (configuration.firstWait, configuration.longestWait) = (.zero, .zero)
        await #expect(throws: RetryError.self) { try await call(configuration).run { throw Failure() } }
        configuration.rethrowsLastError = true
        await #expect(throws: Failure.self) { try await call(configuration).run { throw Failure() } }
    }

    @Test("the order is the recommended one")
    func order() {
        let limiter = Limiter(
            .fivePerQuarterHour,
            keyspace: "payments",
            store: InMemoryStore(clock: clock),
            whenStoreIsDown: .closed()
        )
        let limited = ExternalCall(
            "payments",
            .externalAPI(.idempotent),
            rateLimit: limiter.policy(for: "all")
        )
        #expect(limited.layers.map(\.kind) == [.timeout, .rateLimit, .retry, .circuitBreaker, .timeout])
        #expect(call().layers.map(\.kind) == [.timeout, .retry, .circuitBreaker, .timeout])
    }

    @Test("the explanation reads as on the page of the module")
    func explanation() {
        #expect(
            ExternalCall("payments", .externalAPI(.idempotent)).explain() == """
                payments
                  1  timeout          cancels after 8 s
                  2  retry            up to 3 attempts, waits of 100 ms, doubling up to 2 s, full jitter
                  3  circuit breaker  opens after a failure rate of 0.5 over at least 20 calls in 10 s or 10 failures in a row that \
                last 1 s, for 30 s, then one probe
                  4  timeout          cancels after 2.5 s
                At worst, a call takes 8 s and makes 3 attempts.
                circuit breaker (3): its failure rate decides from 2 calls a second on, its failures in a row at any traffic.
                """
        )
    }

    @Test("a failing call is tried again; one that may have been sent and must not happen twice is not")
    func idempotency() async throws {
        var configuration = ExternalCallConfiguration.externalAPI(.notIdempotent)
        configuration.firstWait = .zero
        configuration.longestWait = .zero
        let call = call(configuration)
        let calls = Counter()
        _ = try? await call.run {
            calls.increment()
            throw Failure()
        }
        #expect(calls.value == 1)
        let value = try await call.run(.idempotent) {
            if calls.increment() == 2 { throw Failure() }
            return "done"
        }
        #expect(value == "done")
        #expect(calls.value == 3)
        #expect(try await call.run(.notIdempotent) { 1 } == 1)
    }

    private static var threeFailures: ExternalCallConfiguration {
        var configuration = ExternalCallConfiguration.externalAPI(.idempotent)
        configuration.breakerTrip = .consecutiveFailures(3)
        return configuration
    }

    @Test("the breaker opens by its rule and can be read, and the next call fails fast with the breaker's own error")
    func breaker() async {
        let call = call(Self.threeFailures)
        let calls = Counter()
        for _ in 0..<3 {
            await #expect(throws: Failure.self) { try await call.run(.notIdempotent) { throw Failure() } }
        }
        #expect(call.breaker.state == .open(remaining: .seconds(30)))
        let error = await #expect(throws: BreakerOpenError.self) { try await call.run { calls.increment() } }
        #expect(error?.wait == .seconds(30))
        #expect(calls.value == 0 && clock.sleeperCount == 0)
    }

    @Test("the attempts of one call do not open the breaker of any preset")
    func oneCall() async {
        for (name, make) in Self.presets {
            var configuration = make(.idempotent)
            (configuration.firstWait, configuration.longestWait) = (.zero, .zero)
            let call = call(configuration)
            _ = try? await call.run { throw Failure() }
            #expect(call.breaker.state == .closed, "\(name)")
            for _ in 0..<10 { _ = try? await call.run { throw Failure() } }
            #expect(call.breaker.state.isOpen, "\(name)")
        }
    }

    @Test("two external calls to one dependency, one inside the other, share a half-open breaker")
    func nested() async throws {
        let call = call(Self.threeFailures)
        for _ in 0..<3 { _ = try? await call.run(.notIdempotent) { throw Failure() } }
        clock.advance(by: .seconds(30))
        #expect(try await call.run { try await call.run { try await call.run(.notIdempotent) { 7 } } } == 7)
        #expect(call.breaker.state == .closed)
    }

    @Test("a retry inside a probe whose calls go through the same breaker ends at the first failure, counted once")
    func retryInProbe() async throws {
        var configuration = Self.threeFailures
        (configuration.firstWait, configuration.longestWait) = (.zero, .zero)
        let call = call(configuration)
        for _ in 0..<3 { _ = try? await call.run(.notIdempotent) { throw Failure() } }
        clock.advance(by: .seconds(30))
        let calls = Counter()
        let error = await #expect(throws: RetryError.self) {
            try await call.breaker.run {
                try await call.run {
                    calls.increment()
                    throw Failure()
                }
            }
        }
        #expect(calls.value == 1)
        #expect(error?.codes == ["retry.rejected", "circuit_breaker.open"])
        #expect(error?.mayHaveBeenSent == true)
        #expect(call.breaker.state == .open(remaining: .seconds(30)))
    }

    @Test("an error that finds fault with the request is neither tried again nor counted against the dependency")
    func faultOfTheRequest() async {
        struct Declined: ReliabilityError {
            let code: ErrorCode = "card.declined"
            let category = ErrorCategory.unprocessable
            let message = "The card was declined."
        }
        let call = call()
        let calls = Counter()
        for _ in 0..<5 {
            await #expect(throws: Declined.self) {
                try await call.run {
                    calls.increment()
                    throw Declined()
                }
            }
        }
        #expect(calls.value == 5)
        #expect(call.breaker.state == .closed)
    }

    @Test("the observer is told of each call once, whichever form it has, in order")
    func observed() async throws {
        let records = EventRecorder<CallRecord>()
        let call = call(observer: records.record)
        try await call.run {}
        try await call.run(.notIdempotent) { clock.advance(by: .milliseconds(1)) }
        try call.reload(.database(.idempotent))
        try await call.run { clock.advance(by: .milliseconds(2)) }
        let seen = await records.wait(for: 3)
        #expect(seen.map(\.duration) == [.zero, .milliseconds(1), .milliseconds(2)])
        #expect(seen.map(\.name) == ["payments", "payments", "payments"])
    }

    @Test("INV-44: a reload keeps an open breaker open, and its time is cut to the new one")
    func reloadWhileOpen() async throws {
        let call = call(Self.threeFailures)
        for _ in 0..<3 { _ = try? await call.run(.notIdempotent) { throw Failure() } }
        var configuration = call.configuration
        configuration.breakerOpenFor = .seconds(5)
        try call.reload(configuration)
        #expect(call.breaker.state == .open(remaining: .seconds(5)))
        #expect(call.configuration == configuration)
        clock.advance(by: .seconds(5))
        #expect(try await call.run { "probe" } == "probe")
        #expect(call.breaker.state == .closed)
    }

    @Test("INV-44: a reload that is refused changes nothing, and the next one works")
    func refusedReload() throws {
        let call = call()
        let before = call.configuration
        var wrong = before
        wrong.attemptLimit = .seconds(9)
        wrong.maxAttempts = 0
        wrong.breakerTrip = .failures(0, within: .seconds(60))
        wrong.breakerOpenFor = .zero
        let error = #expect(throws: PipelineError.self) { try call.reload(wrong) }
        #expect(
            error?.problems == [
                "attemptLimit must be shorter than totalLimit (is 9.0 seconds, and totalLimit 8.0 seconds)",
                "maxAttempts must be from 1 to 100 (is 0)",
                "breakerTrip: the number of failures must be from 1 to 10,000 (is 0)",
                "breakerOpenFor must be positive (is 0.0 seconds)",
            ]
        )
        #expect(error?.name == "payments")
        #expect(call.configuration == before)
        #expect(call.breaker.configuration.openFor == .seconds(30))
        try call.reload(.database(.idempotent))
        #expect(call.configuration == .database(.idempotent))
    }

    @Test("INV-44: a call that is under way ends under the figures with which it began")
    func callUnderWay() async throws {
        var configuration = ExternalCallConfiguration.externalAPI(.idempotent)
        configuration.maxAttempts = 2
        configuration.firstWait = .zero
        configuration.longestWait = .zero
        let call = call(configuration)
        let calls = Counter()
        _ = try? await call.run {
            calls.increment()
            configuration.maxAttempts = 3
            try call.reload(configuration)
            throw Failure()
        }
        #expect(calls.value == 2)
    }

    @Test("INV-44: of reloads at once, the breaker and the rest end with the same one")
    func reloadsAtOnce() async {
        for _ in 0..<20 {
            let call = call()
            await withTaskGroup { group in
                for seconds in 1...20 {
                    group.addTask {
                        var configuration = ExternalCallConfiguration.externalAPI(.idempotent)
                        configuration.breakerOpenFor = .seconds(seconds)
                        try? call.reload(configuration)
                    }
                }
            }
            #expect(call.breaker.configuration.openFor == call.configuration.breakerOpenFor)
        }
    }

    @Test("whatever figures come from a file, they are refused or they work: nothing traps", arguments: 0..<20)
    func noTrap(seed: Int) async throws {
        var generator = SeededGenerator(seed: UInt64(seed))
        let durations: [Duration] = [
            .seconds(Int64.min), .seconds(-1), .nanoseconds(-1), .zero,
            Duration(secondsComponent: 0, attosecondsComponent: 1),
            .nanoseconds(1), .milliseconds(1), .seconds(1), .seconds(60), .seconds(3600 * 24 * 365 * 300),
            .seconds(Int64.max),
        ]
        let counts = [Int.min, -1, 0, 1, 2, 100, 101, 10_000, 10_001, .max]
        let trips: [(Int, Duration) -> BreakerTrip] = [
            { _, _ in .standard }, { _, _ in .standard }, { count, _ in .consecutiveFailures(count) },
            { count, window in .failures(count, within: window) },
            { count, window in .failureRate(Double(count), minimumCalls: count, within: window) },
            { count, window in .standard.or(.failures(count, within: window)) },
        ]
        let call = call()
        var accepted = 0
        for _ in 0..<500 {
            func duration() -> Duration { durations[Int.random(in: 0..<durations.count, using: &generator)] }
            func count() -> Int { counts[Int.random(in: 0..<counts.count, using: &generator)] }
            // Half of the figures are right, so that some configurations are.
            func usually(_ right: Duration) -> Duration { Bool.random(using: &generator) ? right : duration() }
            let configuration = ExternalCallConfiguration(
                Bool.random(using: &generator) ? .idempotent : .notIdempotent,
                totalLimit: usually(.seconds(8)),
                attemptLimit: usually(.seconds(2)),
                maxAttempts: Bool.random(using: &generator) ? 3 : count(),
                firstWait: usually(.zero),
                longestWait: usually(.seconds(1)),
                breakerTrip: trips[Int.random(in: 0..<trips.count, using: &generator)](count(), duration()),
                breakerOpenFor: usually(.seconds(30))
            )
            do {
                try call.reload(configuration)
                #expect(configuration.problems() == [])
                accepted += 1
                #expect(try await call.run { 7 } == 7)
                #expect(!call.explain().isEmpty)
            } catch let error as PipelineError {
                #expect(error.problems == configuration.problems() && !error.problems.isEmpty)
            }
        }
        #expect(accepted > 0)
    }

    @Test("figures that cannot work do not get past construction")
    func traps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var configuration = ExternalCallConfiguration.cache(.idempotent)
            configuration.maxAttempts = -3
            _ = ExternalCall("cache", configuration)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("the external call cache cannot work: maxAttempts must be from 1 to 100 (is -3)"))
    }
}

extension WorstCase {
    fileprivate init(_ duration: Duration, _ attempts: Int) { self.init(duration: duration, attempts: attempts) }
}
