import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import CircuitBreaker

@Suite("Breaker: reload")
struct BreakerReloadTests {
    private let clock = ManualClock()

    private func breaker(
        _ trip: TripCondition,
        openDuration: Duration = .seconds(10),
        probes: Int = 1,
        observer: (@Sendable (BreakerEvent) -> Void)? = nil
    ) -> Breaker {
        Breaker(
            Breaker.Configuration(tripCondition: trip, openDuration: openDuration, probes: probes),
            clock: clock,
            observer: observer
        )
    }

    private func fail(_ breaker: Breaker, times: Int = 1) throws {
        for _ in 0..<times { try breaker.acquire().fail() }
    }

    private func isOpen(_ breaker: Breaker) -> Bool { if case .open = breaker.state { true } else { false } }

    @Test("an open breaker stays open for the shorter of its remaining time and the new time")
    func open() throws {
        for (openDuration, remaining) in [(Duration.seconds(60), Duration.seconds(7)), (.seconds(5), .seconds(5))] {
            let breaker = breaker(.consecutiveFailures(1))
            try fail(breaker)
            clock.advance(by: .seconds(3))
            try breaker.reload(
                Breaker.Configuration(tripCondition: .consecutiveFailures(4), openDuration: openDuration)
            )
            #expect(breaker.state == .open(remaining: remaining))
            #expect(breaker.configuration.openDuration == openDuration)
            clock.advance(by: remaining - .nanoseconds(1))
            #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
            clock.advance(by: .nanoseconds(1))
            try breaker.acquire().fail()
            #expect(breaker.state == .open(remaining: openDuration))
        }
    }

    @Test("a new rule of the same kind and window keeps the counts")
    func historyKept() throws {
        let pairs: [(TripCondition, TripCondition)] = [
            (.consecutiveFailures(9), .consecutiveFailures(4)),
            (.failures(9, within: .seconds(60)), .failures(4, within: .seconds(60))),
            (
                .failureRate(1, minCalls: 9, within: .seconds(60)),
                .failureRate(0.5, minCalls: 4, within: .seconds(60))
            ),
        ]
        for (old, new) in pairs {
            let breaker = breaker(old)
            try fail(breaker, times: 3)
            try breaker.reload(Breaker.Configuration(tripCondition: new))
            #expect(breaker.state == .closed)
            try fail(breaker)
            #expect(isOpen(breaker))
        }
    }

    @Test("a new rule of another kind or window resets the counts")
    func historyAnew() throws {
        let pairs: [(TripCondition, TripCondition)] = [
            (.consecutiveFailures(9), .failures(4, within: .seconds(60))),
            (.failures(9, within: .seconds(60)), .failures(4, within: .seconds(61))),
            (.failures(9, within: .seconds(60)), .consecutiveFailures(4)),
            (
                .failureRate(1, minCalls: 9, within: .seconds(60)),
                .failureRate(1, minCalls: 4, within: .seconds(61))
            ),
        ]
        for (old, new) in pairs {
            let breaker = breaker(old)
            try fail(breaker, times: 3)
            try breaker.reload(Breaker.Configuration(tripCondition: new))
            try fail(breaker, times: 3)
            #expect(breaker.state == .closed)
            try fail(breaker)
            #expect(isOpen(breaker))
        }
    }

    @Test("a reload never opens the breaker, but the next failure does")
    func neverOpens() throws {
        for trip in [TripCondition.consecutiveFailures(2), .failures(2, within: .seconds(60))] {
            let old: TripCondition =
                trip == .consecutiveFailures(2) ? .consecutiveFailures(9) : .failures(9, within: .seconds(60))
            let breaker = breaker(old)
            try fail(breaker, times: 5)
            try breaker.reload(Breaker.Configuration(tripCondition: trip))
            #expect(breaker.state == .closed)
            try fail(breaker)
            #expect(isOpen(breaker))
        }
    }

    @Test("a reload to a smaller count keeps the newest failures")
    func newestFailures() throws {
        let breaker = breaker(.failures(3, within: .seconds(60)))
        // Five failures 40 seconds apart overwrite the ring of three.
        for _ in 0..<5 {
            try fail(breaker)
            clock.advance(by: .seconds(40))
        }
        try breaker.reload(Breaker.Configuration(tripCondition: .failures(2, within: .seconds(60))))
        // The last failure is 40 seconds old.
        try fail(breaker)
        #expect(isOpen(breaker))
    }

    @Test("a permit from before a reload counts in its own generation only")
    func permits() throws {
        let breaker = breaker(.consecutiveFailures(2))
        let failure = try breaker.acquire()
        let stale = try breaker.acquire()
        try breaker.reload(Breaker.Configuration(tripCondition: .consecutiveFailures(1), openDuration: .seconds(10)))
        failure.fail()
        #expect(isOpen(breaker))
        try breaker.reload(Breaker.Configuration(tripCondition: .consecutiveFailures(1), openDuration: .seconds(5)))
        clock.advance(by: .seconds(5))
        let probe = try breaker.acquire()
        stale.fail()
        #expect(breaker.state == .halfOpen)
        probe.succeed()
        #expect(breaker.state == .closed)
    }

    @Test("a half-open breaker continues probing after a reload and closes when enough probes have succeeded")
    func halfOpen() async throws {
        let events = EventRecorder<BreakerEvent>()
        let breaker = breaker(.consecutiveFailures(1), probes: 3, observer: events.record)
        try fail(breaker)
        clock.advance(by: .seconds(10))
        try breaker.acquire().succeed()
        let running = try breaker.acquire()
        try breaker.reload(
            Breaker.Configuration(tripCondition: .consecutiveFailures(1), openDuration: .seconds(10), probes: 2)
        )
        #expect(breaker.state == .halfOpen)
        #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
        try breaker.reload(
            Breaker.Configuration(tripCondition: .consecutiveFailures(1), openDuration: .seconds(10), probes: 1)
        )
        #expect(breaker.state == .closed)
        // The failure of a former probe does not open the closed breaker.
        running.fail()
        #expect(breaker.state == .closed)
        #expect(await events.wait(for: 3).last == .closed(generation: 4))
    }

    @Test("a half-open breaker admits the additional probes of a reload")
    func moreProbes() throws {
        let breaker = breaker(.consecutiveFailures(1))
        try fail(breaker)
        clock.advance(by: .seconds(10))
        let first = try breaker.acquire()
        #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
        try breaker.reload(Breaker.Configuration(tripCondition: .consecutiveFailures(1), probes: 2))
        let second = try breaker.acquire()
        first.succeed()
        #expect(breaker.state == .halfOpen)
        second.succeed()
        #expect(breaker.state == .closed)
    }

    @Test("a lost probe is replaced after the new time if the new time is shorter")
    func lease() throws {
        let breaker = breaker(.consecutiveFailures(1), openDuration: .seconds(3600))
        try fail(breaker)
        clock.advance(by: .seconds(3600))
        let lost = try breaker.acquire()
        try breaker.reload(Breaker.Configuration(tripCondition: .consecutiveFailures(1), openDuration: .seconds(5)))
        clock.advance(by: .seconds(5))
        try breaker.acquire().succeed()
        lost.ignore()
        #expect(breaker.state == .closed)
    }

    @Test("a reload with the same time does not shorten the time of a slow probe")
    func doubledLease() throws {
        let breaker = breaker(.consecutiveFailures(1))
        try fail(breaker)
        clock.advance(by: .seconds(10))
        let lost = try breaker.acquire()
        clock.advance(by: .seconds(10))
        // The next probe has twice the time, so a result after fifteen seconds counts.
        let slow = try breaker.acquire()
        for _ in 0..<3 {
            try breaker.reload(
                Breaker.Configuration(tripCondition: .consecutiveFailures(1), openDuration: .seconds(10))
            )
            clock.advance(by: .seconds(5))
        }
        #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
        slow.succeed()
        #expect(breaker.state == .closed)
        lost.ignore()
    }

    @Test("random reloads lose no permit, and successes close the breaker afterwards")
    func randomReloads() async throws {
        let breaker = breaker(.failureRate(0.5, minCalls: 5, within: .seconds(5)), probes: 2)
        let trips: [TripCondition] = [
            .consecutiveFailures(2), .failures(3, within: .seconds(5)), .failures(20, within: .seconds(5)),
            .failureRate(0.5, minCalls: 5, within: .seconds(5)),
            .failureRate(1, minCalls: 2, within: .seconds(9)),
        ]
        for seed in UInt64(0)..<40 {
            await withTaskGroup { group in
                for index in UInt64(0)..<50 {
                    group.addTask {
                        var generator = SeededGenerator(seed: seed * 50 + index)
                        if Int.random(in: 0..<5, using: &generator) == 0 {
                            try? breaker.reload(
                                Breaker.Configuration(
                                    tripCondition: trips[Int.random(in: 0..<trips.count, using: &generator)],
                                    openDuration: .seconds(Int.random(in: 1...20, using: &generator)),
                                    probes: Int.random(in: 1...3, using: &generator)
                                )
                            )
                            return
                        }
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
        // Twenty seconds is the longest openDuration, and every permit is settled.
        clock.advance(by: .seconds(20))
        for _ in 0..<3 { try await breaker.run {} }
        #expect(breaker.state == .closed)
    }
}
