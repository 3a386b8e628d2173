import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import CircuitBreaker

private struct Broken: Error, Equatable {
    var number = 0
}

private struct Answer: ReliabilityError {
    var code: ErrorCode { "test.answer" }
    var category: ErrorCategory
    var message: String { "No." }
    var isRejection = false
}

@Suite("Breaker")
struct BreakerTests {
    let clock = ManualClock()

    func breaker(
        _ trip: BreakerTrip = .consecutiveFailures(2),
        openFor: Duration = .seconds(10),
        probes: Int = 1,
        classify: @escaping @Sendable (any Error) -> Outcome = Breaker.standardOutcome(for:),
        observer: (@Sendable (BreakerEvent) -> Void)? = nil
    ) -> Breaker {
        Breaker(
            BreakerConfiguration(trip: trip, openFor: openFor, probes: probes),
            classify: classify,
            clock: clock,
            observer: observer
        )
    }

    func fail(_ breaker: Breaker, _ error: any Error = Broken()) async {
        try? await breaker.run { throw error }
    }

    /// A breaker that has opened and whose time is over: the next call is a probe.
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
        await #expect(throws: Broken(number: 7)) { try await breaker.run { throw Broken(number: 7) } }
        #expect(breaker.state == .closed)
    }

    @Test("an open breaker refuses without running the call, and says how long")
    func refuses() async throws {
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

    @Test("after its time a successful probe closes it and a failed one opens it for as long again")
    func probeDecides() async throws {
        let closing = await expiredBreaker()
        let opening = await expiredBreaker()
        clock.advance(by: .seconds(10))
        #expect(try await closing.run { 1 } == 1)
        #expect(closing.state == .closed)
        await fail(opening)
        #expect(opening.state == .open(remaining: .seconds(10)))
    }

    @Test("INV-45: asking for the state changes nothing: an open breaker whose time is over says so")
    func stateIsPure() async {
        let events = EventRecorder<BreakerEvent>()
        let breaker = await expiredBreaker(observer: events.record)
        for _ in 0..<3 { #expect(breaker.state == .open(remaining: .zero)) }
        await fail(breaker)
        let seen = await events.wait(for: 3)
        #expect(seen[1] == .halfOpened(generation: 3))
    }

    @Test("INV-9: of a hundred callers at half-open exactly the permitted probes run", arguments: [1, 3, 10])
    func hundredCallers(probes: Int) async throws {
        let breaker = await expiredBreaker(probes: probes)
        let gate = Gate()
        let (runs, refused) = (Counter(), Counter())
        await withTaskGroup { group in
            for _ in 0..<100 {
                group.addTask {
                    do {
                        try await breaker.run {
                            runs.increment()
                            await gate.wait()
                        }
                    } catch {
                        #expect((error as? BreakerOpenError)?.retryAfter == .seconds(10))
                        // The last caller who is refused lets the probes go.
                        if refused.increment() == 100 - probes { gate.open() }
                    }
                }
            }
        }
        #expect(runs.value == probes)
        #expect(refused.value == 100 - probes)
        #expect(breaker.state == .closed)
    }

    @Test("probes that end while others still come are not replaced: no more run than are needed to close")
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

    @Test("INV-3: a permit that is dropped or ignored gives its place back and changes nothing")
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

    @Test("INV-7: an answer from before the breaker opened neither closes nor opens it")
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

    @Test("INV-2: a probe that never ends is replaced after openFor, and its late answer changes nothing")
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

    @Test("INV-4, INV-5: a caller's cancellation is neither failure nor success, whatever the call then does")
    func cancellation() async throws {
        for isProbe in [false, true] {
            let breaker = isProbe ? await expiredBreaker() : breaker(.consecutiveFailures(1))
            let before: Breaker.State = isProbe ? .halfOpen : .closed
            for error in [CancellationError() as any Error, Broken(), nil] {
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

    @Test("INV-6: a CancellationError of something inside, while the caller is not cancelled, is a failure")
    func innerCancellation() async {
        let breaker = breaker()
        await fail(breaker, CancellationError())
        await fail(breaker, CancellationError())
        #expect(breaker.state == .open(remaining: .seconds(10)))
    }

    @Test("INV-38: a refusal by a policy inside is no failure, whatever the classification says")
    func innerRejections() async {
        let breaker = breaker(classify: { _ in .failure })
        for _ in 0..<5 { await fail(breaker, Answer(category: .unavailable, isRejection: true)) }
        #expect(breaker.state == .closed)
    }

    @Test("an answer that finds fault with the request is a success, a throttled call is ignored, the rest fail")
    func standardOutcome() {
        let answers: [ErrorCategory] = [
            .invalid, .unauthenticated, .forbidden, .notFound, .conflict, .preconditionFailed, .tooLarge,
            .unprocessable,
        ]
        for category in answers { #expect(Breaker.standardOutcome(for: Answer(category: category)) == .success) }
        #expect(Breaker.standardOutcome(for: Answer(category: .rateLimited)) == .ignored)
        let failures: [ErrorCategory] = [
            .timeout, .unavailable, .cancelled, .internal, ErrorCategory(rawValue: "new"),
        ]
        for category in failures { #expect(Breaker.standardOutcome(for: Answer(category: category)) == .failure) }
        #expect(Breaker.standardOutcome(for: Broken()) == .failure)
    }

    @Test("a classification of one's own decides about foreign errors")
    func classify() async {
        let breaker = breaker(.consecutiveFailures(1), classify: { $0 is Broken ? .ignored : .failure })
        await fail(breaker)
        #expect(breaker.state == .closed)
        await fail(breaker, Answer(category: .invalid))
        #expect(breaker.state == .open(remaining: .seconds(10)))
    }

    @Test("each rule opens the breaker, and closing it starts the rule afresh")
    func everyRule() async throws {
        let rules: [BreakerTrip] = [
            .consecutiveFailures(3), .failures(3, within: .seconds(60)),
            .failureRate(1, minimumCalls: 3, within: .seconds(60)), .threeFailuresInAMinute,
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

    @Test("INV-37: an observer hears every change, in order, and may call back into the breaker")
    func observes() async throws {
        let events = EventRecorder<BreakerEvent>()
        let states = EventRecorder<Breaker.State>()
        let holder = Holder()
        let breaker = breaker(
            .consecutiveFailures(1),
            observer: { event in
                if let state = holder.breaker.withLock({ $0?.state }) { states.record(state) }
                events.record(event)
            }
        )
        holder.breaker.withLock { $0 = breaker }
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
        holder.breaker.withLock { $0 = nil }
    }

    @Test("many tasks with every outcome: events are numbered without a gap and the breaker closes in the end")
    func storm() async throws {
        let events = EventRecorder<BreakerEvent>()
        let breaker = breaker(
            .failureRate(0.5, minimumCalls: 5, within: .seconds(5)),
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
        // Every permit is settled now: whatever the state, calls that succeed close the breaker.
        clock.advance(by: .seconds(10))
        for _ in 0..<2 { try await breaker.run {} }
        #expect(breaker.state == .closed)
        try breaker.acquire().succeed()
        let seen = await events.wait(for: 3).map { event -> UInt64 in
            switch event {
            case .opened(let generation, _), .halfOpened(let generation), .closed(let generation): generation
            case .missed: 0
            }
        }
        #expect(seen == Array(2..<UInt64(seen.count) + 2))
    }

    @Test("the simple form opens for 30 seconds and probes with one call")
    func simpleForm() async {
        let breaker = Breaker(.consecutiveFailures(1))
        #expect(breaker.configuration.openFor == .seconds(30))
        #expect(breaker.configuration.probes == 1)
    }

    @Test("counts and durations that make no sense are refused at construction")
    func misconfiguration() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Breaker(BreakerConfiguration(trip: .consecutiveFailures(0), openFor: .zero))
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(
            text.contains(
                "the circuit breaker cannot work: the number of consecutive failures must be at least 1 (is 0); "
                    + "openFor must be positive (is 0.0 seconds)"
            )
        )
        await #expect(processExitsWith: .failure) {
            Breaker(.standard).reload(BreakerConfiguration(trip: .standard, probes: 0))
        }
    }

    @Test("figures that make no sense are values with problems, and trap nowhere before a breaker is made of them")
    func problems() {
        func problems(_ trip: BreakerTrip) -> [String] { BreakerConfiguration(trip: trip).problems() }
        #expect(problems(.standard) == [] && problems(.threeFailuresInAMinute) == [])
        #expect(problems(.consecutiveFailures(.min)).count == 1)
        #expect(problems(.failures(0, within: .zero)).count == 2)
        #expect(problems(.failures(10_001, within: .seconds(1))).count == 1)
        for rate in [Double.nan, -0.5, 0, 1.01, .infinity] {
            #expect(
                problems(.failureRate(rate, minimumCalls: 1, within: .seconds(1)))
                    == ["the failure rate must be above 0 and at most 1 (is \(rate))"]
            )
        }
        #expect(problems(.failureRate(0.5, minimumCalls: 0, within: .seconds(-1))).count == 2)
        #expect(
            problems(.consecutiveFailures(2).or(.consecutiveFailures(3)))
                == ["a breaker has at most one rule of each kind (two of one kind were combined)"]
        )
        #expect(problems(.standard.or(.failures(100, within: .seconds(1)))) == [])
        let two = BreakerTrip.failures(1, within: .seconds(1)).or(.failures(2, within: .seconds(1)))
        #expect(problems(.standard.or(two)).count == 1)
        #expect(BreakerConfiguration(trip: .standard, openFor: .seconds(-1), probes: -1).problems().count == 2)
        let absurd = BreakerTrip.failures(.min, within: .seconds(Int64.min))
            .or(.failureRate(.nan, minimumCalls: .min, within: .zero))
        #expect(!absurd.summary.isEmpty && absurd.traffic.isEmpty)
        #expect(BreakerTrip.failures(.max, within: .nanoseconds(1)).traffic.count == 1)
    }

    @Test("results that count as failures open the breaker and are returned; those of a cancelled task count nowhere")
    func results() async throws {
        let breaker = breaker()
        let outcome: @Sendable (Int) -> Outcome = { $0 >= 500 ? .failure : $0 == 429 ? .ignored : .success }
        for status in [500, 200, 503, 429] {
            #expect(try await breaker.run(countingResult: outcome) { status } == status)
        }
        #expect(breaker.state == .closed)
        let cancelled = Task {
            try await breaker.run(countingResult: outcome) {
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                return 500
            }
        }
        #expect(try await cancelled.value == 500)
        #expect(breaker.state == .closed)
        #expect(try await breaker.run(countingResult: outcome) { 500 } == 500)
        #expect(breaker.state.isOpen)
        clock.advance(by: .seconds(10))
        #expect(try await breaker.run(countingResult: outcome) { 429 } == 429)
        #expect(breaker.state == .halfOpen && !breaker.state.isOpen)
        #expect(try await breaker.run(countingResult: outcome) { 502 } == 502)
        #expect(breaker.state == .open(remaining: .seconds(10)))
        clock.advance(by: .seconds(10))
        #expect(try await breaker.run(countingResult: outcome) { 404 } == 404)
        #expect(breaker.state == .closed && !breaker.state.isOpen)
    }

    @Test("the short form takes a clock, a classification and an observer")
    func shortForm() async {
        let events = EventRecorder<BreakerEvent>()
        let breaker = Breaker(
            .consecutiveFailures(1),
            classify: { $0 is Broken ? .failure : .ignored },
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

@Suite("Breaker keeps the caller's isolation")
struct BreakerIsolationTests {
    final class NotSendable { var count = 0 }

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

    @Test("an actor's state is changed in place")
    func actorIsolated() async throws {
        #expect(try await Account().deposit(Breaker(.threeFailuresInAMinute)) == 1)
    }

    @Test("the main actor stays the main actor")
    @MainActor
    func mainActor() async throws {
        let box = NotSendable()
        let result = try await Breaker(.threeFailuresInAMinute).run {
            MainActor.preconditionIsolated()
            box.count += 1
            return box
        }
        #expect(result === box)
        #expect(box.count == 1)
    }

    @Test("a value that is not Sendable can be used and returned")
    func nonisolated() async throws {
        let box = NotSendable()
        let result = try await Breaker(.threeFailuresInAMinute).run { box }
        #expect(result === box)
    }
}

/// A door behind which tasks wait until it is opened.
private final class Gate: Sendable {
    private let state = Lock((isOpen: false, waiting: [CheckedContinuation<Void, Never>]()))

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }

    func open() {
        let waiting = state.withLock { state in
            let waiting = state.waiting
            state = (true, [])
            return waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}

private final class Holder: Sendable {
    let breaker = Lock<Breaker?>(nil)
}
