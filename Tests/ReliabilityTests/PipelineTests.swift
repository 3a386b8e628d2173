import Reliability
import ReliabilityTesting
import Testing

@Suite("Pipeline")
struct PipelineTests {
    private struct Failure: Error {}

    /// Notes when it is entered and left.
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

    @Test("policies run in the order in which they are written, the first outermost")
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

    @Test("the breaker sees every attempt, and stops the retries when it opens")
    func breakerInsideRetry() async {
        let calls = Counter()
        let pipeline = Pipeline {
            RetryPolicy(.idempotent, maxAttempts: 10, backoff: .none)
            Breaker(BreakerConfiguration(trip: .consecutiveFailures(3), openFor: .seconds(3600)))
        }
        let error = await #expect(throws: RetryError.self) {
            try await pipeline.run {
                calls.increment()
                throw Failure()
            }
        }
        #expect(calls.value == 3)
        #expect(error?.lastError is BreakerOpenError)
        #expect(error?.reason == .rejected && error?.mayHaveBeenSent == true)
    }

    @Test("a list may have conditions: what is switched off is no layer, and what is on runs in its place")
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

    @Test("an attempt that hangs is cut off, counted by the breaker, and tried again")
    func attemptTimeouts() async throws {
        let clock = ManualClock()
        let calls = Counter()
        let breaker = Breaker(BreakerConfiguration(trip: .consecutiveFailures(2)), clock: clock)
        let pipeline = Pipeline {
            TimeoutPolicy(.seconds(60), clock: clock)
            RetryPolicy(RetryConfiguration(.idempotent, maxAttempts: 2, backoff: .none), clock: clock)
            breaker
            TimeoutPolicy(.seconds(1), clock: clock)
        }
        let task = Task {
            try await pipeline.run {
                calls.increment()
                try await ManualClock().sleep(for: .seconds(1))
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

    @Test("the total limit ends the call between attempts, and no wait begins that cannot fit")
    func totalLimit() async throws {
        let clock = ManualClock()
        let pipeline = Pipeline {
            TimeoutPolicy(.seconds(5), clock: clock)
            RetryPolicy(
                RetryConfiguration(.idempotent, maxAttempts: 100, backoff: .constant(.seconds(2), jitter: .none)),
                clock: clock
            )
        }
        let task = Task { try await pipeline.run { throw Failure() } }
        for _ in 0..<2 {
            await clock.waitForSleepers(2)
            clock.advance(by: .seconds(2))
        }
        let error = await #expect(throws: RetryError.self) { try await task.value }
        #expect(error?.reason == .deadlineTooClose)
        #expect(error?.attemptCount == 3)
    }

    @Test("caller cancellation leaves the breaker as it was")
    func cancellation() async {
        let clock = ManualClock()
        let breaker = Breaker(BreakerConfiguration(trip: .consecutiveFailures(1)))
        let pipeline = Pipeline {
            RetryPolicy(.idempotent, maxAttempts: 3)
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

    actor Account {
        var balance = 0
        func deposit(_ pipeline: some CallPolicy) async throws -> Int {
            try await pipeline.run {
                self.preconditionIsolated()
                balance += 1
                if balance < 3 { throw Failure() }
                return balance
            }
        }
    }

    private static func full(isObserved: Bool) -> some CallPolicy {
        let observer: @Sendable (CallRecord) -> Void = { _ in }
        return Pipeline("full", observer: isObserved ? observer : nil) {
            TimeoutPolicy(.seconds(3600))
            RetryPolicy(.idempotent, maxAttempts: 5, backoff: .none)
            Breaker(.consecutiveFailures(10))
            TimeoutPolicy(.seconds(1800))
        }
    }

    @Test("an actor's state is changed in place, observed or not", arguments: [false, true])
    func isolation(isObserved: Bool) async throws {
        #expect(try await Account().deposit(Self.full(isObserved: isObserved)) == 3)
        var configuration = ExternalCallConfiguration.cache(.idempotent)
        (configuration.firstWait, configuration.longestWait) = (.zero, .zero)
        #expect(try await Account().deposit(ExternalCall("full", configuration, clock: ManualClock())) == 3)
    }

    final class NotSendable { var count = 0 }

    @Test("the main actor stays the main actor, observed or not", arguments: [false, true])
    @MainActor
    func mainActor(isObserved: Bool) async throws {
        let box = NotSendable()
        let result = try await Self.full(isObserved: isObserved).run {
            MainActor.preconditionIsolated()
            box.count += 1
            if box.count < 3 { throw Failure() }
            return box
        }
        #expect(result === box)
        #expect(box.count == 3)
    }

    @Test("nowhere in particular, a value that is not Sendable can be used and returned", arguments: [false, true])
    func nonisolated(isObserved: Bool) async throws {
        let box = NotSendable()
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
