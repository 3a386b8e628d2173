import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import CircuitBreaker

@Suite("Breaker")
struct BreakerTests {
    let clock = ManualClock()

    func breaker(
        _ trip: TripCondition = .consecutiveFailures(2),
        openDuration: Duration = .seconds(10),
        probes: Int = 1,
        classify: @escaping @Sendable (any Error) -> Outcome = Outcome.standard(for:),
        observer: (@Sendable (BreakerEvent) -> Void)? = nil
    ) -> Breaker {
        Breaker(
            Breaker.Configuration(tripCondition: trip, openDuration: openDuration, probes: probes),
            classify: classify,
            clock: clock,
            observer: observer
        )
    }

    func fail(_ breaker: Breaker, _ error: any Error = TestError()) async {
        try? await breaker.run { throw error }
    }

    /// A breaker whose open time has elapsed, so that the next call is a probe.
    func expiredBreaker(probes: Int = 1, observer: (@Sendable (BreakerEvent) -> Void)? = nil) async -> Breaker {
        let breaker = breaker(.consecutiveFailures(1), probes: probes, observer: observer)
        await fail(breaker)
        clock.advance(by: .seconds(10))
        return breaker
    }

    @Test("a closed breaker passes results and errors through")
    func passesThrough() async throws {
        let breaker = breaker()
        #expect(try await breaker.run { "done" } == "done")
        await #expect(throws: TestError(7)) { try await breaker.run { throw TestError(7) } }
        #expect(breaker.state == .closed)
    }

    @Test("an open breaker rejects a call with its remaining time")
    func rejects() async throws {
        let breaker = breaker()
        await fail(breaker)
        await fail(breaker)
        clock.advance(by: .seconds(4))
        var runs = 0
        let error = await #expect(throws: BreakerOpenError.self) { try await breaker.run { runs += 1 } }
        #expect(runs == 0)
        #expect(error?.code == "circuit_breaker.open")
        #expect(error?.category == .unavailable)
        #expect(error?.retryAfter == .seconds(6))
        #expect(error?.isRejection == true)
        #expect(breaker.state == .open(remaining: .seconds(6)))
    }

    @Test("a successful probe closes the breaker, and a failed probe opens the breaker for the full time")
    func probeDecides() async throws {
        let closing = await expiredBreaker()
        let opening = await expiredBreaker()
        clock.advance(by: .seconds(10))
        #expect(try await closing.run { 1 } == 1)
        #expect(closing.state == .closed)
        await fail(opening)
        #expect(opening.state == .open(remaining: .seconds(10)))
    }

    @Test("reading the state changes nothing, even after the open time has elapsed")
    func stateIsPure() async {
        let events = EventRecorder<BreakerEvent>()
        let breaker = await expiredBreaker(observer: events.record)
        for _ in 0..<3 { #expect(breaker.state == .open(remaining: .zero)) }
        await fail(breaker)
        let seen = await events.wait(for: 3)
        #expect(seen[1] == .halfOpened(generation: 3))
    }

    @Test("a half-open breaker admits exactly its probes from a hundred callers", arguments: [1, 3, 10])
    func hundredCallers(probes: Int) async throws {
        let breaker = await expiredBreaker(probes: probes)
        let gate = TaskGate()
        let (runs, rejected) = (ConcurrencyCounter(), ConcurrencyCounter())
        await withTaskGroup { group in
            for _ in 0..<100 {
                group.addTask {
                    do {
                        try await breaker.run {
                            runs.increment()
                            await gate.pass()
                        }
                    } catch {
                        #expect((error as? BreakerOpenError)?.retryAfter == .seconds(10))
                        // The last rejected caller releases the probes.
                        if rejected.increment() == 100 - probes { gate.open() }
                    }
                }
            }
        }
        #expect(runs.value == probes)
        #expect(rejected.value == 100 - probes)
        #expect(breaker.state == .closed)
    }

    @Test("a half-open breaker admits no more probes than it needs to close")
    func fastProbes() async throws {
        let breaker = await expiredBreaker(probes: 3)
        let first = try breaker.acquire()
        try await breaker.run {}
        let third = try breaker.acquire()
        #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
        first.succeed()
        #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
        third.succeed()
        #expect(breaker.state == .closed)
    }

    @Test("a dropped or ignored permit releases its place and changes nothing")
    func droppedPermit() async throws {
        let breaker = await expiredBreaker()
        for _ in 0..<50 {
            _ = try breaker.acquire()
            try breaker.acquire().ignore()
            #expect(breaker.state == .halfOpen)
        }
        try breaker.acquire().succeed()
        #expect(breaker.state == .closed)
    }

    @Test("a result from before the breaker opened neither closes nor opens the breaker")
    func lateAnswers() async throws {
        let breaker = breaker()
        let lateSuccess = try breaker.acquire()
        let lateFailure = try breaker.acquire()
        await fail(breaker)
        await fail(breaker)
        clock.advance(by: .seconds(10))
        let probe = try breaker.acquire()
        lateSuccess.succeed()
        #expect(breaker.state == .halfOpen)
        lateFailure.fail()
        #expect(breaker.state == .halfOpen)
        #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
        probe.succeed()
        #expect(breaker.state == .closed)
    }

    @Test("a lost probe is replaced after openDuration, and its late result changes nothing")
    func lostProbe() async throws {
        let breaker = await expiredBreaker()
        let lost = try breaker.acquire()
        clock.advance(by: .seconds(10) - .nanoseconds(1))
        #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
        clock.advance(by: .nanoseconds(1))
        let second = try breaker.acquire()
        lost.fail()
        #expect(breaker.state == .halfOpen)
        second.succeed()
        #expect(breaker.state == .closed)
    }

    @Test("the call of a cancelled caller counts neither as a failure nor as a success")
    func cancellation() async throws {
        for isProbe in [false, true] {
            let breaker = isProbe ? await expiredBreaker() : breaker(.consecutiveFailures(1))
            let before: Breaker.State = isProbe ? .halfOpen : .closed
            for error in [CancellationError() as any Error, TestError(), nil] {
                let task = Task {
                    try await breaker.run {
                        unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                        if let error { throw error }
                    }
                }
                _ = await task.result
                #expect(breaker.state == before)
            }
            // No place was lost and no success was counted.
            try await breaker.run {}
            #expect(breaker.state == .closed)
        }
    }

    @Test("CancellationError in a task that is not cancelled is a failure")
    func innerCancellation() async {
        let breaker = breaker()
        await fail(breaker, CancellationError())
        await fail(breaker, CancellationError())
        #expect(breaker.state == .open(remaining: .seconds(10)))
    }

    @Test("a rejection by an inner policy is not a failure, regardless of the classification")
    func innerRejections() async {
        let breaker = breaker(classify: { _ in .failure })
        for _ in 0..<5 { await fail(breaker, TestRejection()) }
        #expect(breaker.state == .closed)
    }

    @Test("a custom classification decides the outcome of an error")
    func classify() async {
        let breaker = breaker(.consecutiveFailures(1), classify: { $0 is TestError ? .ignored : .failure })
        await fail(breaker)
        #expect(breaker.state == .closed)
        await fail(breaker, TestReliabilityError(.invalid))
        #expect(breaker.state == .open(remaining: .seconds(10)))
    }

    @Test("each rule opens the breaker and starts again after the breaker closes")
    func everyRule() async throws {
        let rules: [TripCondition] = [
            .consecutiveFailures(3), .failures(3, within: .seconds(60)),
            .failureRate(1, minCalls: 3, within: .seconds(60)), .failures(3, within: .seconds(60)),
        ]
        for rule in rules {
            let breaker = breaker(rule)
            for _ in 0..<2 {
                for _ in 0..<2 { await fail(breaker) }
                #expect(breaker.state == .closed)
                await fail(breaker)
                #expect(breaker.state == .open(remaining: .seconds(10)))
                clock.advance(by: .seconds(10))
                try await breaker.run {}
                #expect(breaker.state == .closed)
            }
        }
    }

    @Test("an observer receives every change in order and may use the breaker")
    func observes() async throws {
        let events = EventRecorder<BreakerEvent>()
        let states = EventRecorder<Breaker.State>()
        let holder = Lock<Breaker?>(nil)
        let breaker = breaker(
            .consecutiveFailures(1),
            observer: { event in
                if let state = holder.withLock({ $0?.state }) { states.record(state) }
                events.record(event)
            }
        )
        holder.withLock { $0 = breaker }
        await fail(breaker)
        clock.advance(by: .seconds(10))
        await fail(breaker)
        clock.advance(by: .seconds(10))
        try await breaker.run {}
        let seen = await events.wait(for: 5)
        #expect(
            seen == [
                .opened(generation: 2, for: .seconds(10)), .halfOpened(generation: 3),
                .opened(generation: 4, for: .seconds(10)), .halfOpened(generation: 5), .closed(generation: 6),
            ]
        )
        #expect(states.events.count == 5)
        holder.withLock { $0 = nil }
    }

    @Test("the events of concurrent calls are numbered without a gap, and the breaker closes afterwards")
    func concurrentCalls() async throws {
        let events = EventRecorder<BreakerEvent>()
        let breaker = breaker(
            .failureRate(0.5, minCalls: 5, within: .seconds(5)),
            probes: 2,
            observer: events.record
        )
        for seed in UInt64(0)..<20 {
            await withTaskGroup { group in
                for index in UInt64(0)..<50 {
                    group.addTask {
                        var generator = SeededGenerator(seed: seed * 50 + index)
                        guard let permit = try? breaker.acquire() else { return }
                        await Task.yield()
                        switch Int.random(in: 0..<4, using: &generator) {
                        case 0: permit.succeed()
                        case 1, 2: permit.fail()
                        default: break
                        }
                    }
                }
            }
            clock.advance(by: .seconds(3))
        }
        // Every permit is settled, so successes close the breaker from any state.
        clock.advance(by: .seconds(10))
        for _ in 0..<2 { try await breaker.run {} }
        #expect(breaker.state == .closed)
        try breaker.acquire().succeed()
        let seen = await events.wait(for: 3).map { event -> UInt64 in
            switch event {
            case .opened(let generation, _), .halfOpened(let generation), .closed(let generation): generation
            case .probesLost, .forced, .released, .missed: 0
            }
        }
        #expect(seen == Array(2..<UInt64(seen.count) + 2))
    }

    @Test("the short initializer opens for 30 seconds and probes with one call")
    func simpleForm() async {
        let breaker = Breaker(.consecutiveFailures(1))
        #expect(breaker.configuration.openDuration == .seconds(30))
        #expect(breaker.configuration.probes == 1)
    }

    @Test("an invalid configuration is rejected at construction and at a reload")
    func misconfiguration() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(0), openDuration: .zero))
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(
            text.contains(
                "circuit breaker: tripCondition: the number of consecutive failures must be at least 1 (is 0); "
                    + "openDuration must be positive (is 0.0 seconds)"
            )
        )
        let breaker = Breaker(.standard)
        let error = #expect(throws: ConfigurationError.self) { try breaker.reload(Breaker.Configuration(probes: 0)) }
        #expect(error?.problems == ["probes must be at least 1 (is 0)"])
        #expect(breaker.configuration == .standard)
    }

    @Test("an invalid configuration reports its problems and does not trap before construction")
    func validation() {
        func problems(_ trip: TripCondition) -> [String] {
            TestSupport.problems(of: Breaker.Configuration(tripCondition: trip).validate)
        }
        #expect(problems(.standard) == [] && problems(.failures(3, within: .seconds(60))) == [])
        #expect(problems(.consecutiveFailures(.min)).count == 1)
        #expect(problems(.failures(0, within: .zero)).count == 2)
        #expect(problems(.failures(10_001, within: .seconds(1))).count == 1)
        for rate in [Double.nan, -0.5, 0, 1.01, .infinity] {
            #expect(
                problems(.failureRate(rate, minCalls: 1, within: .seconds(1)))
                    == ["tripCondition: the failure rate must be above 0 and at most 1 (is \(rate))"]
            )
        }
        #expect(problems(.failureRate(0.5, minCalls: 0, within: .seconds(-1))).count == 2)
        #expect(
            problems(.consecutiveFailures(2).or(.consecutiveFailures(3)))
                == ["tripCondition: a breaker has at most one rule of each kind (two of one kind were combined)"]
        )
        #expect(problems(.standard.or(.failures(100, within: .seconds(1)))) == [])
        let two = TripCondition.failures(1, within: .seconds(1)).or(.failures(2, within: .seconds(1)))
        #expect(problems(.standard.or(two)).count == 1)
        #expect(
            TestSupport.problems(
                of: Breaker.Configuration(tripCondition: .standard, openDuration: .seconds(-1), probes: -1).validate
            ) == ["openDuration must be positive (is -1.0 seconds)", "probes must be at least 1 (is -1)"]
        )
        let absurd = TripCondition.failures(.min, within: .seconds(Int64.min))
            .or(.failureRate(.nan, minCalls: .min, within: .zero))
        #expect(!absurd.summary.isEmpty && absurd.traffic.isEmpty)
        #expect(TripCondition.failures(.max, within: .nanoseconds(1)).traffic.count == 1)
    }

    @Test("results that count as failures open the breaker and are returned, and a cancelled task's do not count")
    func results() async throws {
        let breaker = breaker()
        let outcome: @Sendable (Int) -> Outcome = { $0 >= 500 ? .failure : $0 == 429 ? .ignored : .success }
        for status in [500, 200, 503, 429] {
            #expect(try await breaker.run(classifyResult: outcome) { status } == status)
        }
        #expect(breaker.state == .closed)
        let cancelled = Task {
            try await breaker.run(classifyResult: outcome) {
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                return 500
            }
        }
        #expect(try await cancelled.value == 500)
        #expect(breaker.state == .closed)
        #expect(try await breaker.run(classifyResult: outcome) { 500 } == 500)
        #expect(breaker.state.isOpen)
        clock.advance(by: .seconds(10))
        #expect(try await breaker.run(classifyResult: outcome) { 429 } == 429)
        #expect(breaker.state == .halfOpen && !breaker.state.isOpen)
        #expect(try await breaker.run(classifyResult: outcome) { 502 } == 502)
        #expect(breaker.state == .open(remaining: .seconds(10)))
        clock.advance(by: .seconds(10))
        #expect(try await breaker.run(classifyResult: outcome) { 404 } == 404)
        #expect(breaker.state == .closed && !breaker.state.isOpen)
    }

    @Test("the short initializer takes a clock, a classification and an observer")
    func shortForm() async {
        let events = EventRecorder<BreakerEvent>()
        let breaker = Breaker(
            .consecutiveFailures(1),
            classify: { $0 is TestError ? .failure : .ignored },
            clock: clock,
            observer: events.record
        )
        await fail(breaker, CancellationError())
        await fail(breaker)
        clock.advance(by: .seconds(29))
        #expect(breaker.state == .open(remaining: .seconds(1)))
        #expect(await events.wait(for: 1) == [.opened(generation: 2, for: .seconds(30))])
    }
}

@Suite("Breaker: isolation")
struct BreakerIsolationTests {
    actor Account {
        var balance = 0
        func deposit(_ breaker: Breaker) async throws -> Int {
            try await breaker.run {
                self.preconditionIsolated()
                balance += 1
                return balance
            }
        }
    }

    @Test("an operation on an actor changes the actor's state in place")
    func actorIsolated() async throws {
        #expect(try await Account().deposit(Breaker(.failures(3, within: .seconds(60)))) == 1)
    }

    @Test("an operation on the main actor stays there")
    @MainActor
    func mainActor() async throws {
        let box = NonSendableCounter()
        let result = try await Breaker(.failures(3, within: .seconds(60))).run {
            MainActor.preconditionIsolated()
            box.count += 1
            return box
        }
        #expect(result === box)
        #expect(box.count == 1)
    }

    @Test("a value that is not Sendable can be used and returned")
    func nonisolated() async throws {
        let box = NonSendableCounter()
        let result = try await Breaker(.failures(3, within: .seconds(60))).run { box }
        #expect(result === box)
    }
}
