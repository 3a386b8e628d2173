import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import CircuitBreaker

@Suite("Breaker: invariants of probes and outcomes")
struct BreakerProbeInvariantTests {
    private let clock = ManualClock()

    /// A breaker with an elapsed open time.
    private func dueBreaker(
        _ change: (inout Breaker.Configuration) -> Void = { _ in },
        classify: @escaping @Sendable (any Error) -> Outcome = Outcome.standard(for:),
        observer: (@Sendable (BreakerEvent) -> Void)? = nil
    ) throws -> Breaker {
        var configuration = Breaker.Configuration(tripCondition: .consecutiveFailures(1), openDuration: .seconds(10))
        change(&configuration)
        let breaker = Breaker(configuration, classify: classify, clock: clock, observer: observer)
        try breaker.acquire().fail()
        clock.advance(by: .seconds(10))
        return breaker
    }

    @Test(
        """
        INV-1: for every admitted call exactly one of success, failure, ignored is applied on every exit: return, throw, \
        cancel, a classification that calls the breaker
        """
    )
    func oneOutcome() async throws {
        let holder = Lock<Breaker?>(nil)
        let breaker = try dueBreaker(
            {
                $0.probes = 3
                $0.toleratedProbeFailures = 1
            },
            classify: { error in
                // A classification may use the breaker.
                _ = holder.withLock { $0 }?.snapshot
                return error is TestError ? .failure : .ignored
            }
        )
        holder.withLock { $0 = breaker }
        func counts() -> [Int] {
            let snapshot = breaker.snapshot
            return [snapshot.runningProbes, snapshot.successfulProbes, snapshot.failedProbes]
        }
        try await breaker.run {}
        #expect(counts() == [0, 1, 0])
        _ = try? await breaker.run { throw TestError() }
        #expect(counts() == [0, 1, 1])
        _ = try? await breaker.run { throw TestRejection() }
        _ = try? await breaker.run { throw CancellationError() }
        #expect(counts() == [0, 1, 1])
        let cancelled = Task {
            try await breaker.run { unsafe withUnsafeCurrentTask { unsafe $0?.cancel() } }
        }
        _ = await cancelled.result
        #expect(counts() == [0, 1, 1])
        _ = try breaker.acquire()
        #expect(counts() == [0, 1, 1])
        try await breaker.run {}
        #expect(breaker.state == .closed)
        holder.withLock { $0 = nil }
    }

    @Test(
        """
        INV-2: with a probe that never finishes, within `probeLease` another probe is admitted; the lost probe's later \
        result changes nothing
        """,
        arguments: [Outcome.success, .failure, .ignored]
    )
    func lease(late: Outcome) async throws {
        let events = EventRecorder<BreakerEvent>()
        let breaker = try dueBreaker({ $0.probeLease = .seconds(3) }, observer: events.record)
        let lost = try Held(breaker)
        let error = #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
        #expect(error?.retryAfter == .seconds(3))
        clock.advance(by: .seconds(3))
        let second = try Held(breaker)
        let before = breaker.snapshot
        lost.settle(late)
        #expect(breaker.snapshot == before)
        // A slow dependency has more time.
        clock.advance(by: .seconds(5))
        second.settle(.success)
        #expect(breaker.state == .closed)
        #expect(await events.wait(for: 4)[2] == .probesLost(generation: 3, count: 1))
    }

    @Test("a lost probe gives its place to another probe and leaves the other probes alone")
    func leasesApart() throws {
        let breaker = try dueBreaker {
            $0.probes = 2
            $0.probeLease = .seconds(4)
        }
        let first = try Held(breaker)
        clock.advance(by: .seconds(2))
        let second = try Held(breaker)
        clock.advance(by: .seconds(2))
        let third = try Held(breaker)
        #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
        first.settle(.failure)
        second.settle(.success)
        third.settle(.success)
        #expect(breaker.state == .closed)
    }

    @Test("INV-3: an ignored or cancelled probe returns its slot; n ignored probes never change state")
    func ignored() throws {
        let breaker = try dueBreaker {
            $0.probes = 4
            $0.maxConcurrentProbes = 2
        }
        try breaker.acquire().ignore()
        let before = breaker.snapshot
        for _ in 0..<1000 {
            let probes = (try Held(breaker), try Held(breaker))
            probes.0.settle(.ignored)
            probes.1.settle(.ignored)
        }
        #expect(breaker.snapshot == before)
    }

    @Test("INV-4: cancelling the only half-open probe leaves state ≠ closed and success count unchanged")
    func cancelledProbe() async throws {
        let breaker = try dueBreaker()
        let task = Task {
            try await breaker.run { unsafe withUnsafeCurrentTask { unsafe $0?.cancel() } }
        }
        _ = await task.result
        #expect(breaker.state == .halfOpen)
        #expect(breaker.snapshot.successfulProbes == 0 && breaker.snapshot.runningProbes == 0)
    }

    @Test(
        """
        INV-6: an inner timeout surfacing as CancellationError is a failure; decided by whether the caller is cancelled, \
        never by error type alone
        """
    )
    func innerTimeout() async throws {
        let breaker = try dueBreaker()
        _ = try? await breaker.run { throw CancellationError() }
        #expect(breaker.state == .open(remaining: .seconds(10)))
        let other = Breaker(.consecutiveFailures(1), clock: clock)
        let task = Task {
            try await other.run {
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                throw TestError()
            }
        }
        _ = await task.result
        #expect(other.state == .closed)
    }

    @Test(
        """
        INV-7: a permit issued in generation g has no effect on counters, slots or state in g'≠g; \
        INV-8: half-open in-flight ≤ maxConcurrentProbes, whatever old calls finish
        """,
        arguments: [Outcome.success, .failure, .ignored]
    )
    func generations(late: Outcome) throws {
        let trip = TripCondition.slowCallRate(1, slowerThan: .seconds(2), minCalls: 100, ofLast: 100)
            .or(.consecutiveFailures(1))
        let configuration = Breaker.Configuration(
            tripCondition: trip,
            openDuration: .seconds(10),
            probes: 4,
            maxConcurrentProbes: 2
        )
        let breaker = Breaker(configuration, clock: clock)
        let old = try (0..<5).map { _ in try Held(breaker) }
        try breaker.acquire().fail()
        old[0].settle(late)
        clock.advance(by: .seconds(10))
        let probes = (try Held(breaker), try Held(breaker))
        let before = breaker.snapshot
        old[1].settle(late)
        old[2].settle(late)
        #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
        #expect(breaker.snapshot.runningProbes == 2 && breaker.snapshot.successfulProbes == 0)
        #expect(breaker.snapshot.generation == before.generation)
        probes.0.settle(.success)
        probes.1.settle(.success)
        for _ in 0..<2 { try breaker.acquire().succeed() }
        #expect(breaker.state == .closed)
        let closed = breaker.snapshot
        old[3].settle(late)
        old[4].settle(late)
        #expect(breaker.snapshot == closed)
    }

    @Test(
        "INV-9: k concurrent callers at expiry ⇒ exactly min(k, probes) admitted",
        arguments: [1, 3, 10],
        [1, 2, 40]
    )
    func stampede(probes: Int, callers: Int) async throws {
        let breaker = try dueBreaker {
            $0.probes = probes + 5
            $0.maxConcurrentProbes = probes
        }
        let admitted = ConcurrencyCounter()
        let gate = TaskGate()
        let decided = ConcurrencyCounter()
        await withTaskGroup { group in
            for _ in 0..<callers {
                group.addTask {
                    _ = try? await breaker.run {
                        admitted.increment()
                        if decided.increment() == callers { gate.open() }
                        await gate.pass()
                    }
                    if decided.increment() == callers { gate.open() }
                }
            }
        }
        #expect(admitted.value == min(callers, probes))
    }

    @Test("the sample decides: the breaker closes after enough successes and opens after one failure too many")
    func sample() throws {
        for failures in 0...3 {
            let breaker = try dueBreaker {
                $0.probes = 5
                $0.maxConcurrentProbes = 1
                $0.toleratedProbeFailures = 2
            }
            for number in 0..<failures {
                #expect(breaker.state.isOpen == (number == 0), "the first probe finds the breaker open")
                try breaker.acquire().fail()
            }
            if failures > 2 {
                #expect(breaker.state == .open(remaining: .seconds(10)))
                continue
            }
            for _ in 0..<3 {
                #expect(breaker.state != .closed)
                try breaker.acquire().succeed()
            }
            #expect(breaker.state == .closed)
        }
    }

    @Test(
        """
        INV-38: a rejection from this library is never a breaker failure, never retried by default unless it carries \
        retryAfter, never a latency sample
        """
    )
    func rejections() async throws {
        let trip = TripCondition.slowOrFailedRate(0.1, slowerThan: .seconds(1), minCalls: 1, ofLast: 10)
            .or(.consecutiveFailures(1))
        let breaker = Breaker(
            Breaker.Configuration(tripCondition: trip, maxRetryAfter: .seconds(100)),
            classify: { _ in .failure },
            clock: clock
        )
        let inner = Breaker(.consecutiveFailures(1), clock: clock)
        try inner.acquire().fail()
        for _ in 0..<20 {
            _ = try? await breaker.run {
                clock.advance(by: .seconds(1) + .nanoseconds(1))
                try await inner.run {}
            }
        }
        #expect(breaker.state == .closed)
        #expect(breaker.snapshot.slowOrFailedRate == Breaker.Snapshot.Counts(calls: 0, hits: 0))
        let handle = inner.forceOpen()
        #expect(throws: BreakerOpenError(retryAfter: nil)) { _ = try inner.acquire() }
        handle.release()
    }
}
