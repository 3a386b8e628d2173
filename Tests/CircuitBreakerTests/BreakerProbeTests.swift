import CircuitBreaker
import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@Suite("BreakerProbe")
struct BreakerProbeTests {
    private let clock = ManualClock()

    /// A breaker whose open time has elapsed, so that the next call is a probe.
    private func dueBreaker(
        _ trip: TripCondition = .consecutiveFailures(1),
        probes: Int = 1,
        observer: (@Sendable (BreakerEvent) -> Void)? = nil
    ) async -> Breaker {
        let breaker = Breaker(
            Breaker.Configuration(tripCondition: trip, openDuration: .seconds(10), probes: probes),
            clock: clock,
            observer: observer
        )
        while !breaker.state.isOpen { _ = try? await breaker.run { throw TestError() } }
        clock.advance(by: .seconds(10))
        return breaker
    }

    @Test(
        "nested calls through a shared breaker close the breaker if they succeed",
        arguments: [1, 3]
    )
    func sharedBreaker(probes: Int) async throws {
        let breaker = await dueBreaker(probes: probes)
        func inner() async throws -> Int { try await breaker.run { 7 } }
        func outer() async throws -> Int { try await breaker.run { try await inner() + inner() } }
        for call in 1...probes {
            #expect(try await outer() == 14)
            // The outer call is one success, regardless of the inner calls.
            #expect(breaker.state == (call == probes ? .closed : .halfOpen))
        }
    }

    @Test("work outside of the call context is not part of the probe")
    func withoutContext() async throws {
        let breaker = await dueBreaker()
        try await breaker.run {
            try await breaker.run {}
            await #expect(throws: BreakerOpenError.self) {
                try await withoutCallContext { try await breaker.run {} }
            }
            let task = withoutCallContext { Task { try await breaker.run {} } }
            await #expect(throws: BreakerOpenError.self) { try await task.value }
        }
        #expect(breaker.state == .closed)
    }

    @Test("an inner call that fails opens the breaker once, even if the probe succeeds")
    func failedPart() async throws {
        let events = EventRecorder<BreakerEvent>()
        let breaker = await dueBreaker(observer: events.record)
        try await breaker.run {
            try await breaker.run {}
            #expect(breaker.state == .halfOpen)
            _ = try? await breaker.run { throw TestError() }
            #expect(breaker.state == .open(remaining: .seconds(10)))
            // An open breaker rejects the inner calls of the probe.
            await #expect(throws: BreakerOpenError.self) { try await breaker.run {} }
        }
        #expect(breaker.state == .open(remaining: .seconds(10)))
        #expect(
            await events.wait(for: 3) == [
                .opened(generation: 2, for: .seconds(10)), .halfOpened(generation: 3),
                .opened(generation: 4, for: .seconds(10)),
            ]
        )
    }

    @Test("an inner call that is throttled leaves the probe its place and its outcome")
    func throttledPart() async throws {
        let breaker = await dueBreaker()
        try await breaker.run {
            await #expect(throws: TestReliabilityError.self) {
                try await breaker.run { throw TestReliabilityError(.rateLimited, retryAfter: .seconds(1)) }
            }
            #expect(breaker.snapshot.runningProbes == 1)
            await #expect(throws: BreakerOpenError.self) {
                try await withoutCallContext { try await breaker.run {} }
            }
        }
        #expect(breaker.state == .closed)
    }

    @Test("a failure that passes through nested calls counts once")
    func failureOnce() async {
        let breaker = await dueBreaker()
        _ = try? await breaker.run { try await breaker.run { throw TestError() } }
        #expect(breaker.state == .open(remaining: .seconds(10)))
        clock.advance(by: .seconds(4))
        #expect(breaker.state == .open(remaining: .seconds(6)))
    }

    @Test("calls in child tasks, through a permit and through another breaker's probe are part of the probe")
    func everyWay() async throws {
        let breaker = await dueBreaker()
        let other = await dueBreaker()
        clock.advance(by: .seconds(10))
        try await breaker.run {
            try await withThrowingTaskGroup { group in
                for _ in 0..<5 { group.addTask { try await breaker.run {} } }
                try await group.waitForAll()
            }
            try breaker.acquire().succeed()
            try breaker.acquire().ignore()
            try await other.run { try await breaker.run { try await other.run {} } }
            #expect(breaker.state == .halfOpen && other.state == .closed)
        }
        #expect(breaker.state == .closed)
        let failing = await dueBreaker()
        try await failing.run { try failing.acquire().fail() }
        #expect(failing.state == .open(remaining: .seconds(10)))
    }

    @Test("an inner call whose result counts as a failure opens the breaker")
    func failedResult() async throws {
        let breaker = await dueBreaker()
        try await breaker.run {
            _ = try await breaker.run(classifyResult: { _ in .success }) { 200 }
            #expect(breaker.state == .halfOpen)
            _ = try await breaker.run(classifyResult: { _ in .failure }) { 500 }
        }
        #expect(breaker.state.isOpen)
    }

    @Test("a task that outlives its probe is not part of the next probe")
    func outlives() async throws {
        let breaker = await dueBreaker()
        let left = EventRecorder<Task<Bool, Never>>()
        let start = AsyncStream.makeStream(of: Void.self)
        // The probe is ignored, so the breaker stays in the same generation.
        _ = try? await breaker.run {
            left.record(
                Task {
                    for await _ in start.stream {}
                    do {
                        try await breaker.run {}
                        return true
                    } catch { return false }
                }
            )
            throw TestReliabilityError(.rateLimited)
        }
        #expect(breaker.state == .halfOpen)
        let next = try breaker.acquire()
        start.continuation.finish()
        #expect(await left.events.first?.value == false, "the call was admitted beside the next probe")
        next.succeed()
        #expect(breaker.state == .closed)
    }

    @Test("the inner calls of a replaced probe are rejected while the next probe runs")
    func replaced() async throws {
        let breaker = await dueBreaker()
        try await breaker.run {
            clock.advance(by: .seconds(10))
            let (start, end) = (AsyncStream.makeStream(of: Void.self), AsyncStream.makeStream(of: Void.self))
            // A detached task is not part of the probe.
            let next = Task.detached {
                try await breaker.run {
                    start.continuation.finish()
                    for await _ in end.stream {}
                }
            }
            for await _ in start.stream {}
            await #expect(throws: BreakerOpenError.self) { try await breaker.run {} }
            end.continuation.finish()
            try await next.value
            #expect(breaker.state == .closed)
            try await breaker.run {}
        }
    }

    @Test("a probe whose error blames the request closes the breaker")
    func answeredProbe() async {
        for category in [ErrorCategory.unprocessable, .notFound, .conflict, .unauthenticated] {
            let breaker = await dueBreaker()
            _ = try? await breaker.run { throw TestReliabilityError(category) }
            #expect(breaker.state == .closed)
        }
    }

    @Test("a throttled call neither opens nor closes the breaker, and the next call is the probe")
    func throttled() async throws {
        let breaker = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(1)), clock: clock)
        for _ in 0..<10 { _ = try? await breaker.run { throw TestReliabilityError(.rateLimited) } }
        #expect(breaker.state == .closed)
        let due = await dueBreaker()
        for _ in 0..<3 {
            _ = try? await due.run { throw TestReliabilityError(.rateLimited) }
            #expect(due.state == .halfOpen)
        }
        try await due.run {}
        #expect(due.state == .closed)
    }

    @Test("a rejected probe releases its place to the next call")
    func rejectedProbes() async throws {
        let breaker = await dueBreaker()
        for _ in 0..<50 {
            _ = try? await breaker.run { throw TestRejection() }
            #expect(breaker.state == .halfOpen)
        }
        try await breaker.run {}
        #expect(breaker.state == .closed)
    }
}
