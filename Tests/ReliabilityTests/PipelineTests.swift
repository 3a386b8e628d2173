import Reliability
import ReliabilityTesting
import TestSupport
import Testing

@Suite("Pipeline")
struct PipelineTests {
    /// A policy that records its entry and its exit.
    private struct Tracer: CallPolicy {
        let name: String
        let trace: EventRecorder<String>

        nonisolated(nonsending) func run<Success>(
            _ operation: nonisolated(nonsending) () async throws -> Success
        ) async throws -> Success {
            trace.record("enter \(name)")
            defer { trace.record("leave \(name)") }
            return try await operation()
        }
    }

    @Test("policies run in their written order, the first policy outermost")
    func order() async throws {
        let trace = EventRecorder<String>()
        let pipeline = Pipeline {
            Tracer(name: "a", trace: trace)
            Tracer(name: "b", trace: trace)
            Tracer(name: "c", trace: trace)
        }
        let value = try await pipeline.run {
            trace.record("call")
            return 7
        }
        #expect(value == 7)
        #expect(
            trace.events == ["enter a", "enter b", "enter c", "call", "leave c", "leave b", "leave a"]
        )
    }

    @Test("a breaker inside a retry counts every attempt and ends the retries when it opens")
    func breakerInsideRetry() async {
        let calls = ConcurrencyCounter()
        let pipeline = Pipeline {
            RetryPolicy(.idempotent(maxAttempts: 10, backoff: .none))
            Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(3), openDuration: .seconds(3600)))
        }
        let error = await #expect(throws: RetryError.self) {
            try await pipeline.run {
                calls.increment()
                throw TestError()
            }
        }
        #expect(calls.value == 3)
        #expect(error?.lastError is BreakerOpenError)
        #expect(error?.reason == .rejected && error?.mayHaveBeenSent == true)
    }

    @Test("conditions in a pipeline add or leave out layers")
    func conditions() async throws {
        let trace = EventRecorder<String>()
        func pipeline(_ isOn: Bool, _ optional: Tracer?) -> some CallPolicy {
            Pipeline {
                if isOn { Tracer(name: "first", trace: trace) }
                Tracer(name: "always", trace: trace)
                if let optional {
                    optional
                    Tracer(name: "with it", trace: trace)
                }
                if isOn {
                    TimeoutPolicy(.seconds(2))
                } else {
                    Tracer(name: "else", trace: trace)
                    TimeoutPolicy(.seconds(1))
                }
                switch optional {
                case nil: Tracer(name: "none", trace: trace)
                case _?: Breaker(.standard)
                }
                if #available(macOS 15, *) { Tracer(name: "last", trace: trace) }
            }
        }
        let on = pipeline(true, Tracer(name: "optional", trace: trace))
        #expect(on.layers.map(\.kind) == [.other, .other, .other, .other, .timeout, .circuitBreaker, .other])
        #expect(try await on.run { 1 } == 1)
        #expect(
            trace.events.prefix(5) == ["enter first", "enter always", "enter optional", "enter with it", "enter last"]
        )
        let off = pipeline(false, nil)
        #expect(off.layers.map(\.kind) == [.other, .other, .timeout, .other, .other])
        #expect(off.layers.compactMap(\.limit) == [.seconds(1)])
        #expect(try await off.run { 2 } == 2)
        #expect(
            trace.events.dropFirst(10).prefix(4) == ["enter always", "enter else", "enter none", "enter last"]
        )
        #expect(Pipeline { if trace.events.isEmpty { Breaker(.standard) } }.layers.isEmpty)
    }

    @Test("an attempt that hangs is cancelled, counted by the breaker and retried")
    func attemptTimeouts() async throws {
        let clock = ManualClock()
        let calls = ConcurrencyCounter()
        let breaker = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(2)), clock: clock)
        let pipeline = Pipeline {
            TimeoutPolicy(.seconds(60), clock: clock)
            RetryPolicy(RetryPolicy.Configuration(.idempotent, maxAttempts: 2, backoff: .none), clock: clock)
            breaker
            TimeoutPolicy(.seconds(1), clock: clock)
        }
        let task = Task {
            try await pipeline.run {
                calls.increment()
                try await hang()
            }
        }
        for _ in 0..<2 {
            await clock.waitForSleepers(2)
            clock.advance(by: .seconds(1))
        }
        let error = await #expect(throws: RetryError.self) { try await task.value }
        #expect(error?.lastError is TimeoutError)
        #expect(calls.value == 2)
        guard case .open = breaker.state else {
            Issue.record("the breaker is \(breaker.state)")
            return
        }
    }

    @Test("no wait starts that does not fit into the total limit")
    func totalTimeout() async throws {
        let clock = ManualClock()
        let pipeline = Pipeline {
            TimeoutPolicy(.seconds(5), clock: clock)
            RetryPolicy(
                RetryPolicy.Configuration(
                    .idempotent,
                    maxAttempts: 100,
                    backoff: .constant(.seconds(2), jitter: .none)
                ),
                clock: clock
            )
        }
        let task = Task { try await pipeline.run { throw TestError() } }
        for _ in 0..<2 {
            await clock.waitForSleepers(2)
            clock.advance(by: .seconds(2))
        }
        let error = await #expect(throws: RetryError.self) { try await task.value }
        #expect(error?.reason == .deadlineTooClose)
        #expect(error?.attemptCount == 3)
    }

    @Test("a caller's cancellation does not change the breaker")
    func cancellation() async {
        let clock = ManualClock()
        let breaker = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(1)))
        let pipeline = Pipeline {
            RetryPolicy(.idempotent(maxAttempts: 3))
            breaker
            TimeoutPolicy(.seconds(3600))
        }
        for _ in 0..<20 {
            let task = Task { try await pipeline.run { try await clock.sleep(for: .seconds(1)) } }
            await clock.waitForSleepers(1)
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        #expect(breaker.state == .closed)
    }

    @Test("classifications, observers and clocks may use the policy that calls them")
    func reentrant() async throws {
        struct ReentrantClock: Clock {
            let base = ManualClock()
            let callBack: @Sendable () -> Void
            var now: ManualClock.Instant {
                callBack()
                return base.now
            }
            var minimumResolution: Duration { base.minimumResolution }
            func sleep(until deadline: ManualClock.Instant, tolerance: Duration?) async throws {
                try await base.sleep(until: deadline, tolerance: tolerance)
            }
        }
        let held = Lock<Breaker?>(nil)
        let uses = ConcurrencyCounter()
        @Sendable func useBreaker() {
            // Taken out during the use, because a use reads the clock and would recurse.
            guard let breaker = held.withLock({ $0.take() }) else { return }
            uses.increment()
            _ = breaker.configuration
            _ = breaker.state
            if let permit = try? breaker.acquire() { permit.fail() }
            held.withLock { $0 = breaker }
        }
        let breaker = Breaker(
            Breaker.Configuration(tripCondition: .consecutiveFailures(100)),
            classify: { _ in
                useBreaker()
                return .failure
            },
            clock: ReentrantClock(callBack: useBreaker)
        )
        held.withLock { $0 = breaker }
        let retry = RetryPolicy(
            RetryPolicy.Configuration(.idempotent, maxAttempts: 4, backoff: .none),
            classify: { _ in
                useBreaker()
                return .retry
            },
            clock: ReentrantClock(callBack: useBreaker)
        )
        let pipeline = Pipeline("call", clock: ReentrantClock(callBack: useBreaker), observer: { _ in useBreaker() }) {
            retry
            breaker
        }
        await #expect(throws: RetryError.self) { try await pipeline.run { throw TestError() } }
        try breaker.reload(Breaker.Configuration(tripCondition: .consecutiveFailures(101)))
        #expect(breaker.state == .closed)
        #expect(uses.value > 8)
        held.withLock { $0 = nil }
    }

    actor Account {
        var balance = 0
        func deposit(_ pipeline: some CallPolicy) async throws -> Int {
            try await pipeline.run {
                self.preconditionIsolated()
                balance += 1
                if balance < 3 { throw TestError() }
                return balance
            }
        }
    }

    private static func full(isObserved: Bool) -> some CallPolicy {
        let observer: @Sendable (CallReport) -> Void = { _ in }
        return Pipeline("full", observer: isObserved ? observer : nil) {
            TimeoutPolicy(.seconds(3600))
            RetryPolicy(.idempotent(maxAttempts: 5, backoff: .none))
            Breaker(.consecutiveFailures(10))
            TimeoutPolicy(.seconds(1800))
        }
    }

    @Test("an operation on an actor changes the actor's state in place, observed or not", arguments: [false, true])
    func isolation(isObserved: Bool) async throws {
        #expect(try await Account().deposit(Self.full(isObserved: isObserved)) == 3)
        var configuration = ExternalCall.Configuration.cache(.idempotent)
        configuration.backoff = .none
        #expect(try await Account().deposit(ExternalCall("full", configuration, clock: ManualClock())) == 3)
    }

    @Test("an operation on the main actor stays there, observed or not", arguments: [false, true])
    @MainActor
    func mainActor(isObserved: Bool) async throws {
        let box = NonSendableCounter()
        let result = try await Self.full(isObserved: isObserved).run {
            MainActor.preconditionIsolated()
            box.count += 1
            if box.count < 3 { throw TestError() }
            return box
        }
        #expect(result === box)
        #expect(box.count == 3)
    }

    @Test("a value that is not Sendable can be used and returned, observed or not", arguments: [false, true])
    func nonisolated(isObserved: Bool) async throws {
        let box = NonSendableCounter()
        let result = try await Self.full(isObserved: isObserved).run {
            box.count += 1
            return box
        }
        #expect(result === box)
        #expect(
            try await ExternalCall("full", .cache(.idempotent), clock: ManualClock()).run(.notIdempotent) { box }
                === box
        )
    }
}
