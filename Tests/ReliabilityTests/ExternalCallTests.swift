import ReliabilityTesting
import TestSupport
import Testing

@testable import Reliability

@Suite("ExternalCall")
struct ExternalCallTests {
    private let clock = ManualClock()

    private typealias Preset = (name: String, make: @Sendable (Idempotency) -> ExternalCall.Configuration)
    private static let presets: [Preset] = [
        ("externalAPI", { .externalAPI($0) }), ("database", { .database($0) }), ("cache", { .cache($0) }),
        ("email", { .email($0) }), ("fileUpload", { .fileUpload($0) }), ("webhook", { .webhook($0) }),
    ]

    private func call(
        _ configuration: ExternalCall.Configuration = .externalAPI(.idempotent),
        observer: (@Sendable (ExternalCallEvent) -> Void)? = nil
    ) -> ExternalCall {
        ExternalCall("payments", configuration, clock: clock, observer: observer)
    }

    @Test("every preset is valid and has no warnings")
    func presets() {
        for (name, make) in Self.presets {
            for idempotency in [Idempotency.idempotent, .notIdempotent] {
                let configuration = make(idempotency)
                #expect(problems(of: configuration.validate) == [], "\(name)")
                #expect(configuration.idempotency == idempotency)
                #expect(configuration.maxAttempts <= 10)
                #expect(configuration.breaker.tripCondition == .standard)
                let call = ExternalCall(name, configuration)
                #expect(call.warnings == [], "\(name)")
                #expect(call.worstCase == WorstCase(configuration.totalTimeout, configuration.maxAttempts), "\(name)")
            }
        }
        let limits = Self.presets.map { $0.make(.idempotent).totalTimeout }
        #expect(limits == [.seconds(8), .seconds(10), .seconds(2), .seconds(10), .seconds(30), .seconds(15)])
    }

    @Test("rethrowsLastError throws the error of the last attempt")
    func rethrowsLastError() async {
        var configuration = ExternalCall.Configuration.externalAPI(.idempotent)
        configuration.backoff = .none
        await #expect(throws: RetryError.self) { try await call(configuration).run { throw TestError() } }
        configuration.rethrowsLastError = true
        await #expect(throws: TestError.self) { try await call(configuration).run { throw TestError() } }
    }

    @Test("the layers are in the recommended order")
    func order() {
        let limiter = Limiter(
            .login,
            keyspace: "payments",
            store: InMemoryStore(clock: clock),
            storeFailure: .failClosed()
        )
        let limited = ExternalCall(
            "payments",
            .externalAPI(.idempotent),
            rateLimit: limiter.policy(for: ["all"])
        )
        #expect(limited.layers.map(\.kind) == [.timeout, .rateLimit, .retry, .circuitBreaker, .timeout])
        #expect(call().layers.map(\.kind) == [.timeout, .retry, .circuitBreaker, .timeout])
    }

    @Test("the explanation matches the module's page")
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

    @Test("a failed idempotent call is retried, and a call that is not idempotent is not retried")
    func idempotency() async throws {
        var configuration = ExternalCall.Configuration.externalAPI(.notIdempotent)
        configuration.backoff = .none
        let call = call(configuration)
        let calls = ConcurrencyCounter()
        _ = try? await call.run {
            calls.increment()
            throw TestError()
        }
        #expect(calls.value == 1)
        let value = try await call.run(.idempotent) {
            if calls.increment() == 2 { throw TestError() }
            return "done"
        }
        #expect(value == "done")
        #expect(calls.value == 3)
        #expect(try await call.run(.notIdempotent) { 1 } == 1)
    }

    private static var threeFailures: ExternalCall.Configuration {
        var configuration = ExternalCall.Configuration.externalAPI(.idempotent)
        configuration.breaker.tripCondition = .consecutiveFailures(3)
        return configuration
    }

    @Test("an open breaker rejects the next call with the breaker's own error")
    func breaker() async {
        let call = call(Self.threeFailures)
        let calls = ConcurrencyCounter()
        for _ in 0..<3 {
            await #expect(throws: TestError.self) { try await call.run(.notIdempotent) { throw TestError() } }
        }
        #expect(call.breaker.state == .open(remaining: .seconds(30)))
        let error = await #expect(throws: BreakerOpenError.self) { try await call.run { calls.increment() } }
        #expect(error?.retryAfter == .seconds(30))
        #expect(calls.value == 0 && clock.sleeperCount == 0)
    }

    @Test("the attempts of one call do not open the breaker of any preset")
    func oneCall() async {
        for (name, make) in Self.presets {
            var configuration = make(.idempotent)
            configuration.backoff = .none
            let call = call(configuration)
            _ = try? await call.run { throw TestError() }
            #expect(call.breaker.state == .closed, "\(name)")
            for _ in 0..<10 { _ = try? await call.run { throw TestError() } }
            #expect(call.breaker.state.isOpen, "\(name)")
        }
    }

    @Test("nested calls share the probe of a half-open breaker")
    func nested() async throws {
        let call = call(Self.threeFailures)
        for _ in 0..<3 { _ = try? await call.run(.notIdempotent) { throw TestError() } }
        clock.advance(by: .seconds(30))
        #expect(try await call.run { try await call.run { try await call.run(.notIdempotent) { 7 } } } == 7)
        #expect(call.breaker.state == .closed)
    }

    @Test("a retry inside a probe of the same breaker ends at the first failure, which counts once")
    func retryInProbe() async throws {
        var configuration = Self.threeFailures
        configuration.backoff = .none
        let call = call(configuration)
        for _ in 0..<3 { _ = try? await call.run(.notIdempotent) { throw TestError() } }
        clock.advance(by: .seconds(30))
        let calls = ConcurrencyCounter()
        let error = await #expect(throws: RetryError.self) {
            try await call.breaker.run {
                try await call.run {
                    calls.increment()
                    throw TestError()
                }
            }
        }
        #expect(calls.value == 1)
        #expect(error?.codes == ["retry.rejected", "circuit_breaker.open"])
        #expect(error?.mayHaveBeenSent == true)
        #expect(call.breaker.state == .open(remaining: .seconds(30)))
    }

    @Test("an error that blames the request is neither retried nor counted as a failure")
    func faultOfTheRequest() async {
        let call = call()
        let calls = ConcurrencyCounter()
        for _ in 0..<5 {
            await #expect(throws: TestReliabilityError.self) {
                try await call.run {
                    calls.increment()
                    throw TestReliabilityError(.unprocessable)
                }
            }
        }
        #expect(calls.value == 5)
        #expect(call.breaker.state == .closed)
    }

    @Test("the observer receives one report for each call, in order")
    func observed() async throws {
        let reports = EventRecorder<CallReport>()
        let call = call(observer: reports.recordEnded)
        try await call.run {}
        try await call.run(.notIdempotent) { clock.advance(by: .milliseconds(1)) }
        try call.reload(.database(.idempotent))
        try await call.run { clock.advance(by: .milliseconds(2)) }
        let seen = await reports.wait(for: 3)
        #expect(seen.map(\.duration) == [.zero, .milliseconds(1), .milliseconds(2)])
        #expect(seen.map(\.name) == ["payments", "payments", "payments"])
    }

    @Test("a reload keeps an open breaker open for the new, shorter time")
    func reloadWhileOpen() async throws {
        let call = call(Self.threeFailures)
        for _ in 0..<3 { _ = try? await call.run(.notIdempotent) { throw TestError() } }
        var configuration = call.configuration
        configuration.breaker.openDuration = .seconds(5)
        try call.reload(configuration)
        #expect(call.breaker.state == .open(remaining: .seconds(5)))
        #expect(call.configuration == configuration)
        clock.advance(by: .seconds(5))
        #expect(try await call.run { "probe" } == "probe")
        #expect(call.breaker.state == .closed)
    }

    @Test("a rejected reload changes nothing, and the next reload succeeds")
    func rejectedReload() throws {
        let call = call()
        let before = call.configuration
        var invalid = before
        invalid.attemptTimeout = .seconds(9)
        invalid.maxAttempts = 0
        invalid.breaker.tripCondition = .failures(0, within: .seconds(60))
        invalid.breaker.openDuration = .zero
        let error = #expect(throws: ConfigurationError.self) { try call.reload(invalid) }
        #expect(
            error?.problems == [
                "attemptTimeout must be shorter than totalTimeout (is 9.0 seconds, and totalTimeout 8.0 seconds)",
                "maxAttempts must be from 1 to 100 (is 0)",
                "breaker: tripCondition: the number of failures must be from 1 to 10,000 (is 0)",
                "breaker: openDuration must be positive (is 0.0 seconds)",
            ]
        )
        #expect(error?.part == "external call payments")
        #expect(call.configuration == before)
        #expect(call.breaker.configuration.openDuration == .seconds(30))
        try call.reload(.database(.idempotent))
        #expect(call.configuration == .database(.idempotent))
    }

    @Test("a running call keeps the configuration of its start")
    func callUnderWay() async throws {
        var configuration = ExternalCall.Configuration.externalAPI(.idempotent)
        configuration.maxAttempts = 2
        configuration.backoff = .none
        let call = call(configuration)
        let calls = ConcurrencyCounter()
        _ = try? await call.run {
            calls.increment()
            configuration.maxAttempts = 3
            try call.reload(configuration)
            throw TestError()
        }
        #expect(calls.value == 2)
    }

    @Test("simultaneous reloads leave the breaker and the call with the same configuration")
    func reloadsAtOnce() async {
        for _ in 0..<20 {
            let call = call()
            await withTaskGroup { group in
                for seconds in 1...20 {
                    group.addTask {
                        var configuration = ExternalCall.Configuration.externalAPI(.idempotent)
                        configuration.breaker.openDuration = .seconds(seconds)
                        try? call.reload(configuration)
                    }
                }
            }
            #expect(call.breaker.configuration.openDuration == call.configuration.breaker.openDuration)
        }
    }

    @Test("a random configuration is either rejected or usable and never traps", arguments: 0..<20)
    func noTrap(seed: Int) async throws {
        var generator = SeededGenerator(seed: UInt64(seed))
        let durations: [Duration] = [
            .seconds(Int64.min), .seconds(-1), .nanoseconds(-1), .zero,
            Duration(secondsComponent: 0, attosecondsComponent: 1),
            .nanoseconds(1), .milliseconds(1), .seconds(1), .seconds(60), .seconds(3600 * 24 * 365 * 300),
            .seconds(Int64.max),
        ]
        let counts = [Int.min, -1, 0, 1, 2, 100, 101, 10_000, 10_001, .max]
        let trips: [(Int, Duration) -> TripCondition] = [
            { _, _ in .standard }, { _, _ in .standard }, { count, _ in .consecutiveFailures(count) },
            { count, window in .failures(count, within: window) },
            { count, window in .failureRate(Double(count), minCalls: count, within: window) },
            { count, window in .standard.or(.failures(count, within: window)) },
        ]
        let call = call()
        var accepted = 0
        for _ in 0..<500 {
            func duration() -> Duration { durations[Int.random(in: 0..<durations.count, using: &generator)] }
            func count() -> Int { counts[Int.random(in: 0..<counts.count, using: &generator)] }
            // Half of the values are valid, so that some configurations are valid.
            func usually(_ valid: Duration) -> Duration { Bool.random(using: &generator) ? valid : duration() }
            let configuration = ExternalCall.Configuration(
                Bool.random(using: &generator) ? .idempotent : .notIdempotent,
                totalTimeout: usually(.seconds(8)),
                attemptTimeout: usually(.seconds(2)),
                maxAttempts: Bool.random(using: &generator) ? 3 : count(),
                backoff: .exponential(initial: usually(.zero), max: usually(.seconds(1))),
                breaker: Breaker.Configuration(
                    tripCondition: trips[Int.random(in: 0..<trips.count, using: &generator)](count(), duration()),
                    openDuration: usually(.seconds(30)),
                    probes: Bool.random(using: &generator) ? 1 : count()
                )
            )
            do {
                try call.reload(configuration)
                #expect(problems(of: configuration.validate) == [])
                accepted += 1
                #expect(try await call.run { 7 } == 7)
                #expect(!call.explain().isEmpty)
            } catch let error as ConfigurationError {
                #expect(error.problems == problems(of: configuration.validate) && !error.problems.isEmpty)
            }
        }
        #expect(accepted > 0)
    }

    @Test("the release of a dropped event's error may read the state of the breaker")
    func droppedError() async {
        final class Owner: Sendable {
            let call = Lock<ExternalCall?>(nil)
            let releases = ConcurrencyCounter()
        }
        struct OwnedError: Error {
            final class Token: Sendable {
                let owner: Owner
                init(_ owner: Owner) { self.owner = owner }
                deinit {
                    _ = owner.call.withLock { $0 }?.breaker.state
                    owner.releases.increment()
                }
            }
            let token: Token
        }
        let (owner, gate, events) = (Owner(), ThreadGate(), EventRecorder<Void>())
        let calls = 4200
        var configuration = ExternalCall.Configuration.cache(.idempotent)
        configuration.maxAttempts = 1
        configuration.breaker.tripCondition = .consecutiveFailures(calls)
        let call = call(configuration) { _ in
            events.record(())
            gate.pass()
        }
        owner.call.withLock { $0 = call }
        for _ in 0..<calls { try? await call.run { throw OwnedError(token: OwnedError.Token(owner)) } }
        // The last call opened the breaker, and the event of the breaker dropped the report of an earlier call.
        #expect(call.breaker.state.isOpen)
        #expect(owner.releases.value > 0)
        owner.call.withLock { $0 = nil }
        gate.open()
        await events.wait(for: 4096)
    }

    @Test("an invalid configuration is rejected at construction")
    func traps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var configuration = ExternalCall.Configuration.cache(.idempotent)
            configuration.maxAttempts = -3
            _ = ExternalCall("cache", configuration)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("external call cache: maxAttempts must be from 1 to 100 (is -3)"))
    }
}

extension WorstCase {
    fileprivate init(_ duration: Duration, _ attempts: Int) { self.init(duration: duration, attempts: attempts) }
}
