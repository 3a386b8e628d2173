import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@testable import CircuitBreaker

@Suite("Breaker: operation")
struct BreakerOperationTests {
    private let clock = ManualClock()
    private let events = EventRecorder<BreakerEvent>()

    private func breaker(_ change: (inout Breaker.Configuration) -> Void = { _ in }) -> Breaker {
        var configuration = Breaker.Configuration(tripCondition: .consecutiveFailures(1), openDuration: .seconds(10))
        change(&configuration)
        return Breaker(configuration, clock: clock, observer: events.record)
    }

    @Test("INV-46: forceOpen wins over any outcome or timer until released; two holders need two releases")
    func forceOpen() async throws {
        let breaker = breaker { $0.isDryRun = true }
        let running = try Held(breaker)
        let first = breaker.forceOpen()
        var second: BreakerOverride? = breaker.forceOpen()
        let closed = breaker.forceClosed()
        func isRejecting() -> Bool { (try? breaker.acquire()) == nil }
        #expect(breaker.state == .forcedOpen && breaker.state.isOpen && isRejecting())
        running.settle(.success)
        clock.advance(by: .seconds(1_000_000))
        #expect(isRejecting())
        first.release()
        first.release()
        #expect(isRejecting(), "one holder released twice")
        #expect(breaker.snapshot.forcedOpenCount == 1 && second != nil)
        second = nil
        #expect(breaker.state == .forcedClosed && !isRejecting())
        closed.release()
        #expect(breaker.state == .closed)
        #expect(await events.wait(for: 3) == [.forced(open: true), .forced(open: false), .released])
    }

    @Test("a forced-closed breaker admits every call, counts none, and then continues where it was")
    func forceClosed() async throws {
        let breaker = breaker()
        try breaker.acquire().fail()
        let held: Held
        do {
            let handle = breaker.forceClosed()
            for _ in 0..<10 { try breaker.acquire().fail() }
            held = try Held(breaker)
            #expect(breaker.state == .forcedClosed)
            handle.release()
        }
        #expect(breaker.state == .open(remaining: .seconds(10)))
        held.settle(.failure)
        clock.advance(by: .seconds(10))
        try breaker.acquire().succeed()
        #expect(breaker.state == .closed)
    }

    @Test("a result of a call from before a forced opening counts, and the state shows after the release")
    func underOverride() throws {
        let breaker = breaker()
        let running = try Held(breaker)
        let handle = breaker.forceOpen()
        running.settle(.failure)
        #expect(breaker.state == .forcedOpen)
        handle.release()
        #expect(breaker.state == .open(remaining: .seconds(10)))
    }

    @Test("a dry run reports every decision and rejects no call")
    func dryRun() async throws {
        let breaker = breaker { $0.isDryRun = true }
        try breaker.acquire().fail()
        for _ in 0..<5 { try breaker.acquire().fail() }
        #expect(breaker.state == .open(remaining: .seconds(10)))
        #expect(breaker.snapshot.rejectedCalls == 5 && breaker.snapshot.isDryRun)
        clock.advance(by: .seconds(10))
        let probe = try Held(breaker)
        try breaker.acquire().fail()
        #expect(breaker.state == .halfOpen && breaker.snapshot.rejectedCalls == 6)
        probe.settle(.success)
        let opened = BreakerEvent.opened(generation: 2, for: .seconds(10))
        #expect(await events.wait(for: 3) == [opened, .halfOpened(generation: 3), .closed(generation: 4)])
    }

    @Test("INV-45: `state` is pure; \"open, expired\" is reported as such")
    func pure() throws {
        let breaker = breaker {
            $0.tripCondition = .slowCallRate(1, slowerThan: .seconds(1), minCalls: 2, within: .seconds(5))
                .or(.consecutiveFailures(1))
            $0.rampDuration = .seconds(5)
        }
        let machine = { breaker.read { state, _ in state } }
        func readPurely() -> Breaker.Snapshot {
            let before = machine()
            let snapshot = breaker.snapshot
            #expect(breaker.state == snapshot.state && machine() == before)
            return snapshot
        }
        let held = try Held(breaker)
        clock.advance(by: .seconds(2))
        #expect(readPurely().runningSlowCalls == 1)
        held.settle(.failure)
        clock.advance(by: .seconds(100))
        #expect(readPurely().state == .open(remaining: .zero))
        let probe = try Held(breaker)
        clock.advance(by: .seconds(100))
        #expect(readPurely().runningProbes == 1)
        probe.settle(.success)
        try breaker.acquire().succeed()
        clock.advance(by: .seconds(2))
        _ = readPurely()
        clock.advance(by: .seconds(100))
        #expect(readPurely().state == .closed)
    }

    @Test("INV-34: no lock while user code runs: a classification, an observer and an operation may use the breaker")
    func noLockAroundUserCode() async throws {
        let holder = Lock<Breaker?>(nil)
        let use: @Sendable () -> Void = {
            guard let breaker = holder.withLock({ $0 }) else { return }
            _ = breaker.snapshot
            try? breaker.reload(breaker.configuration)
        }
        let breaker = Breaker(
            .consecutiveFailures(1),
            classify: { _ in
                use()
                return .failure
            },
            clock: clock,
            observer: { _ in use() }
        )
        holder.withLock { $0 = breaker }
        _ = try? await breaker.run {
            use()
            breaker.forceClosed().release()
            throw TestError()
        }
        #expect(breaker.state.isOpen)
        holder.withLock { $0 = nil }
    }

    @Test(
        """
        INV-37: callbacks run outside locks, may re-enter, are delivered in transition order, never on the hot path's \
        critical section
        """
    )
    func callbacks() async throws {
        let holder = Lock<Breaker?>(nil)
        let recorder = EventRecorder<BreakerEvent>()
        let gate = ThreadGate()
        let breaker = Breaker(
            .consecutiveFailures(1),
            clock: clock,
            observer: { event in
                // A blocked observer blocks no call.
                gate.pass()
                _ = try? holder.withLock { $0 }?.acquire()
                recorder.record(event)
            }
        )
        holder.withLock { $0 = breaker }
        for _ in 0..<3 {
            try breaker.acquire().fail()
            clock.advance(by: .seconds(30))
            try breaker.acquire().succeed()
        }
        #expect(breaker.state == .closed)
        gate.open()
        let generations = await recorder.wait(for: 9).map { event -> UInt64 in
            switch event {
            case .opened(let generation, _), .halfOpened(let generation), .closed(let generation): generation
            default: 0
            }
        }
        #expect(generations == Array(2...10))
        holder.withLock { $0 = nil }
    }

    @Test(
        """
        INV-44: reload while open stays open with remaining time (clamped to the new setting); in-flight permits are \
        honoured; a rejected reload keeps the old options and later reloads still work
        """
    )
    func reload() throws {
        let breaker = breaker {
            $0.openDurationFactor = 10
            $0.maxOpenDuration = .seconds(1000)
            $0.maxRetryAfter = .seconds(500)
        }
        var configuration = breaker.configuration
        func reload(_ change: (inout Breaker.Configuration) -> Void) throws {
            change(&configuration)
            try breaker.reload(configuration)
        }
        func isOpen(for seconds: Int) -> Bool { breaker.state == .open(remaining: .seconds(seconds)) }
        for wait in [10, 100] {
            try breaker.acquire().fail()
            clock.advance(by: .seconds(wait))
        }
        try breaker.acquire().fail()
        #expect(isOpen(for: 1000))
        try reload { _ in }
        #expect(isOpen(for: 1000))
        try reload { $0.maxOpenDuration = .seconds(300) }
        #expect(isOpen(for: 300))
        #expect(throws: ConfigurationError.self) { try breaker.reload(Breaker.Configuration(jitter: -1)) }
        #expect(breaker.configuration == configuration)
        clock.advance(by: .seconds(300))
        try breaker.acquire().fail(retryAfter: .seconds(500))
        try reload { $0.maxOpenDuration = nil }
        #expect(isOpen(for: 500))
        try reload { $0.maxRetryAfter = .seconds(400) }
        #expect(isOpen(for: 400))
        try reload { $0.maxRetryAfter = nil }
        #expect(isOpen(for: 100))
        clock.advance(by: .seconds(100))
        // Half-open: more and fewer probes, tolerated failures, concurrency and lease.
        try reload {
            $0.probes = 5
            $0.toleratedProbeFailures = 3
            $0.maxConcurrentProbes = 2
        }
        for _ in 0..<3 { try breaker.acquire().fail() }
        let probes = (try Held(breaker), try Held(breaker))
        #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
        try reload { $0.probeLease = .seconds(1) }
        let error = #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
        #expect(error?.retryAfter == .seconds(1))
        try reload {
            $0.toleratedProbeFailures = 1
            $0.probes = 4
        }
        #expect(breaker.state == .halfOpen, "a reload never opens")
        try reload { $0.rampDuration = .seconds(100) }
        probes.0.settle(.success)
        probes.1.settle(.success)
        try breaker.acquire().succeed()
        #expect(breaker.state == .ramping(admittedShare: 0.1))
        try reload { $0.rampDuration = .seconds(10) }
        clock.advance(by: .seconds(10))
        #expect(breaker.state == .closed)
        let held = try Held(breaker)
        try reload {
            $0.isDryRun = true
            $0.tripCondition = .failureRate(1, minCalls: 1, ofLast: 3)
        }
        held.settle(.failure)
        #expect(breaker.state.isOpen)
        try breaker.acquire().fail()
        try reload { $0.isDryRun = false }
        #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
    }
}
