import CircuitBreaker
import ReliabilityCore
import ReliabilityTesting
import Testing

private struct Broken: Error {}

private struct Declined: ReliabilityError {
    var code: ErrorCode { "test.declined" }
    var category: ErrorCategory = .unprocessable
    var message: String { "Declined." }
    var isRejection = false
}

@Suite("Calls that a probe makes through its own breaker")
struct NestedCallTests {
    private let clock = ManualClock()

    /// A breaker that has opened and whose time is over: the next call is a probe.
    private func dueBreaker(
        _ trip: BreakerTrip = .consecutiveFailures(1),
        probes: Int = 1,
        observer: (@Sendable (BreakerEvent) -> Void)? = nil
    ) async -> Breaker {
        let breaker = Breaker(
            BreakerConfiguration(trip: trip, openFor: .seconds(10), probes: probes),
            clock: clock,
            observer: observer
        )
        while !breaker.state.isOpen { _ = try? await breaker.run { throw Broken() } }
        clock.advance(by: .seconds(10))
        return breaker
    }

    @Test(
        "two functions that share a breaker and call each other close it if the dependency is well",
        arguments: [1, 3]
    )
    func sharedBreaker(probes: Int) async throws {
        let breaker = await dueBreaker(probes: probes)
        func inner() async throws -> Int { try await breaker.run { 7 } }
        func outer() async throws -> Int { try await breaker.run { try await inner() + inner() } }
        for call in 1...probes {
            #expect(try await outer() == 14)
            // One call is one success, however many calls are inside.
            #expect(breaker.state == (call == probes ? .closed : .halfOpen))
        }
    }

    @Test("work outside of the call's context is no part of its probe")
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

    @Test("a part that fails opens the breaker once, though the probe around it succeeds")
    func failedPart() async throws {
        let events = EventRecorder<BreakerEvent>()
        let breaker = await dueBreaker(observer: events.record)
        try await breaker.run {
            try await breaker.run {}
            #expect(breaker.state == .halfOpen)
            _ = try? await breaker.run { throw Broken() }
            #expect(breaker.state == .open(remaining: .seconds(10)))
            // The probe is no ticket to an open breaker.
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

    @Test("a failure that passes through both calls counts once")
    func failureOnce() async {
        let breaker = await dueBreaker()
        _ = try? await breaker.run { try await breaker.run { throw Broken() } }
        #expect(breaker.state == .open(remaining: .seconds(10)))
        clock.advance(by: .seconds(4))
        #expect(breaker.state == .open(remaining: .seconds(6)))
    }

    @Test("calls in child tasks, through a permit, and through another breaker's probe are parts of the probe too")
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

    @Test("a part whose result counts as a failure opens the breaker")
    func failedResult() async throws {
        let breaker = await dueBreaker()
        try await breaker.run {
            _ = try await breaker.run(countingResult: { _ in .success }) { 200 }
            #expect(breaker.state == .halfOpen)
            _ = try await breaker.run(countingResult: { _ in .failure }) { 500 }
        }
        #expect(breaker.state.isOpen)
    }

    @Test("a task that outlives the probe is no part of the next one")
    func outlives() async throws {
        let breaker = await dueBreaker()
        let left = EventRecorder<Task<Bool, Never>>()
        let start = AsyncStream.makeStream(of: Void.self)
        // It is ignored: the breaker stays in the same generation.
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
            throw Declined(category: .rateLimited)
        }
        #expect(breaker.state == .halfOpen)
        let next = try breaker.acquire()
        start.continuation.finish()
        #expect(await left.events.first?.value == false, "it was admitted beside the next probe")
        next.succeed()
        #expect(breaker.state == .closed)
    }

    @Test("a probe that was replaced is no ticket: its calls need a place")
    func replaced() async throws {
        let breaker = await dueBreaker()
        try await breaker.run {
            clock.advance(by: .seconds(10))
            let (start, end) = (AsyncStream.makeStream(of: Void.self), AsyncStream.makeStream(of: Void.self))
            // A task that inherits nothing is no part of the probe.
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

    @Test("a dependency that answers every probe with a fault of the request is well: the breaker closes")
    func answeredProbe() async {
        for category in [ErrorCategory.unprocessable, .notFound, .conflict, .unauthenticated] {
            let breaker = await dueBreaker()
            _ = try? await breaker.run { throw Declined(category: category) }
            #expect(breaker.state == .closed)
        }
    }

    @Test("a throttled call neither opens nor closes, and the next call is the probe")
    func throttled() async throws {
        let breaker = Breaker(BreakerConfiguration(trip: .consecutiveFailures(1)), clock: clock)
        for _ in 0..<10 { _ = try? await breaker.run { throw Declined(category: .rateLimited) } }
        #expect(breaker.state == .closed)
        let due = await dueBreaker()
        for _ in 0..<3 {
            _ = try? await due.run { throw Declined(category: .rateLimited) }
            #expect(due.state == .halfOpen)
        }
        try await due.run {}
        #expect(due.state == .closed)
    }

    @Test("probes that are rejected inside again and again leave their place to the next, which closes the breaker")
    func rejectedProbes() async throws {
        let breaker = await dueBreaker()
        for _ in 0..<50 {
            _ = try? await breaker.run { throw Declined(category: .unavailable, isRejection: true) }
            #expect(breaker.state == .halfOpen)
        }
        try await breaker.run {}
        #expect(breaker.state == .closed)
    }
}
