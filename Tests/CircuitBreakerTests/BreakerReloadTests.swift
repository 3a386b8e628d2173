import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import CircuitBreaker

@Suite("Reloading a breaker")
struct BreakerReloadTests {
    private struct Failure: Error {}
    private let clock = ManualClock()

    private func breaker(
        _ trip: BreakerTrip,
        openFor: Duration = .seconds(10),
        probes: Int = 1,
        observer: (@Sendable (BreakerEvent) -> Void)? = nil
    ) -> Breaker {
        Breaker(
            BreakerConfiguration(trip: trip, openFor: openFor, probes: probes),
            clock: clock,
            observer: observer
        )
    }

    private func fail(_ breaker: Breaker, times: Int = 1) throws {
        for _ in 0..<times { try breaker.acquire().fail() }
    }

    private func isOpen(_ breaker: Breaker) -> Bool { if case .open = breaker.state { true } else { false } }

    @Test("INV-44: an open breaker stays open for the time that remains, or for the new time if that is shorter")
    func open() throws {
        for (openFor, remaining) in [(Duration.seconds(60), Duration.seconds(7)), (.seconds(5), .seconds(5))] {
            let breaker = breaker(.consecutiveFailures(1))
            try fail(breaker)
            clock.advance(by: .seconds(3))
            breaker.reload(BreakerConfiguration(trip: .consecutiveFailures(4), openFor: openFor))
            #expect(breaker.state == .open(remaining: remaining))
            #expect(breaker.configuration.openFor == openFor)
            clock.advance(by: remaining - .nanoseconds(1))
            #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
            clock.advance(by: .nanoseconds(1))
            try breaker.acquire().fail()
            #expect(breaker.state == .open(remaining: openFor))
        }
    }

    @Test("INV-44: what is remembered is kept under a rule of the same kind and window")
    func historyKept() throws {
        let pairs: [(BreakerTrip, BreakerTrip)] = [
            (.consecutiveFailures(9), .consecutiveFailures(4)),
            (.failures(9, within: .seconds(60)), .failures(4, within: .seconds(60))),
            (
                .failureRate(1, minimumCalls: 9, within: .seconds(60)),
                .failureRate(0.5, minimumCalls: 4, within: .seconds(60))
            ),
        ]
        for (old, new) in pairs {
            let breaker = breaker(old)
            try fail(breaker, times: 3)
            breaker.reload(BreakerConfiguration(trip: new))
            #expect(breaker.state == .closed)
            try fail(breaker)
            #expect(isOpen(breaker))
        }
    }

    @Test("INV-44: under another kind of rule, or another window, counting begins anew")
    func historyAnew() throws {
        let pairs: [(BreakerTrip, BreakerTrip)] = [
            (.consecutiveFailures(9), .failures(4, within: .seconds(60))),
            (.failures(9, within: .seconds(60)), .failures(4, within: .seconds(61))),
            (.failures(9, within: .seconds(60)), .consecutiveFailures(4)),
            (
                .failureRate(1, minimumCalls: 9, within: .seconds(60)),
                .failureRate(1, minimumCalls: 4, within: .seconds(61))
            ),
        ]
        for (old, new) in pairs {
            let breaker = breaker(old)
            try fail(breaker, times: 3)
            breaker.reload(BreakerConfiguration(trip: new))
            try fail(breaker, times: 3)
            #expect(breaker.state == .closed)
            try fail(breaker)
            #expect(isOpen(breaker))
        }
    }

    @Test("a reload opens nothing: with more failures behind it than the new rule allows, the next one does")
    func opensNothing() throws {
        for trip in [BreakerTrip.consecutiveFailures(2), .failures(2, within: .seconds(60))] {
            let old: BreakerTrip =
                trip == .consecutiveFailures(2) ? .consecutiveFailures(9) : .failures(9, within: .seconds(60))
            let breaker = breaker(old)
            try fail(breaker, times: 5)
            breaker.reload(BreakerConfiguration(trip: trip))
            #expect(breaker.state == .closed)
            try fail(breaker)
            #expect(isOpen(breaker))
        }
    }

    @Test("INV-44: of the kept failures the newest count, in the order in which they came")
    func newestFailures() throws {
        let breaker = breaker(.failures(3, within: .seconds(60)))
        // Five failures 40 seconds apart: the ring of three has turned.
        for _ in 0..<5 {
            try fail(breaker)
            clock.advance(by: .seconds(40))
        }
        breaker.reload(BreakerConfiguration(trip: .failures(2, within: .seconds(60))))
        // The last one is 40 seconds old.
        try fail(breaker)
        #expect(isOpen(breaker))
    }

    @Test("INV-44: a permit from before the reload counts after it, in its own generation and in no other")
    func permits() throws {
        let breaker = breaker(.consecutiveFailures(2))
        let failure = try breaker.acquire()
        let stale = try breaker.acquire()
        breaker.reload(BreakerConfiguration(trip: .consecutiveFailures(1), openFor: .seconds(10)))
        failure.fail()
        #expect(isOpen(breaker))
        breaker.reload(BreakerConfiguration(trip: .consecutiveFailures(1), openFor: .seconds(5)))
        clock.advance(by: .seconds(5))
        let probe = try breaker.acquire()
        stale.fail()
        #expect(breaker.state == .halfOpen)
        probe.succeed()
        #expect(breaker.state == .closed)
    }

    @Test("INV-44: a half-open breaker goes on probing; with fewer probes it closes when enough have succeeded")
    func halfOpen() async throws {
        let events = EventRecorder<BreakerEvent>()
        let breaker = breaker(.consecutiveFailures(1), probes: 3, observer: events.record)
        try fail(breaker)
        clock.advance(by: .seconds(10))
        try breaker.acquire().succeed()
        let running = try breaker.acquire()
        breaker.reload(BreakerConfiguration(trip: .consecutiveFailures(1), openFor: .seconds(10), probes: 2))
        #expect(breaker.state == .halfOpen)
        #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
        breaker.reload(BreakerConfiguration(trip: .consecutiveFailures(1), openFor: .seconds(10), probes: 1))
        #expect(breaker.state == .closed)
        // It was admitted as a probe: its failure is no reason to open the closed breaker.
        running.fail()
        #expect(breaker.state == .closed)
        #expect(await events.wait(for: 3).last == .closed(generation: 4))
    }

    @Test("INV-44: with more probes, a half-open breaker admits the rest")
    func moreProbes() throws {
        let breaker = breaker(.consecutiveFailures(1))
        try fail(breaker)
        clock.advance(by: .seconds(10))
        let first = try breaker.acquire()
        #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
        breaker.reload(BreakerConfiguration(trip: .consecutiveFailures(1), probes: 2))
        let second = try breaker.acquire()
        first.succeed()
        #expect(breaker.state == .halfOpen)
        second.succeed()
        #expect(breaker.state == .closed)
    }

    @Test("a lost probe is replaced after the new time, if that is shorter")
    func lease() throws {
        let breaker = breaker(.consecutiveFailures(1), openFor: .seconds(3600))
        try fail(breaker)
        clock.advance(by: .seconds(3600))
        let lost = try breaker.acquire()
        breaker.reload(BreakerConfiguration(trip: .consecutiveFailures(1), openFor: .seconds(5)))
        clock.advance(by: .seconds(5))
        try breaker.acquire().succeed()
        lost.ignore()
        #expect(breaker.state == .closed)
    }

    @Test("INV-44: a reload that changes no time leaves a slow probe the time that it was given")
    func doubledLease() throws {
        let breaker = breaker(.consecutiveFailures(1))
        try fail(breaker)
        clock.advance(by: .seconds(10))
        let lost = try breaker.acquire()
        clock.advance(by: .seconds(10))
        // The lost probe's successor has twice the time: what answers after fifteen seconds is heard.
        let slow = try breaker.acquire()
        for _ in 0..<3 {
            breaker.reload(BreakerConfiguration(trip: .consecutiveFailures(1), openFor: .seconds(10)))
            clock.advance(by: .seconds(5))
        }
        #expect(throws: BreakerOpenError.self) { _ = try breaker.acquire() }
        slow.succeed()
        #expect(breaker.state == .closed)
        lost.ignore()
    }

    @Test("INV-44: whatever is reloaded whenever, no permit is lost and successes close the breaker in the end")
    func storm() async throws {
        let breaker = breaker(.failureRate(0.5, minimumCalls: 5, within: .seconds(5)), probes: 2)
        let trips: [BreakerTrip] = [
            .consecutiveFailures(2), .failures(3, within: .seconds(5)), .failures(20, within: .seconds(5)),
            .failureRate(0.5, minimumCalls: 5, within: .seconds(5)),
            .failureRate(1, minimumCalls: 2, within: .seconds(9)),
        ]
        for seed in UInt64(0)..<40 {
            await withTaskGroup { group in
                for index in UInt64(0)..<50 {
                    group.addTask {
                        var generator = SeededGenerator(seed: seed * 50 + index)
                        if Int.random(in: 0..<5, using: &generator) == 0 {
                            breaker.reload(
                                BreakerConfiguration(
                                    trip: trips[Int.random(in: 0..<trips.count, using: &generator)],
                                    openFor: .seconds(Int.random(in: 1...20, using: &generator)),
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
        // Twenty seconds is the longest openFor, and with every permit settled nothing is under way.
        clock.advance(by: .seconds(20))
        for _ in 0..<3 { try await breaker.run {} }
        #expect(breaker.state == .closed)
    }
}

@Suite("A breaker at rest")
struct BreakerAtRestTests {
    private struct Failure: Error {}

    /// A clock that counts how often it is read.
    private struct CountingClock: Clock {
        let manual: ManualClock
        let readings: Counter
        var now: ManualClock.Instant {
            readings.increment()
            return manual.now
        }
        var minimumResolution: Duration { manual.minimumResolution }
        func sleep(until deadline: ManualClock.Instant, tolerance: Duration?) async throws {
            try await manual.sleep(until: deadline, tolerance: tolerance)
        }
    }

    @Test("calls that succeed read no clock, as long as their success would change nothing")
    func noClock() async throws {
        let readings = Counter()
        let clock = CountingClock(manual: ManualClock(), readings: readings)
        for trip in [BreakerTrip.consecutiveFailures(2), .threeFailuresInAMinute] {
            let breaker = Breaker(BreakerConfiguration(trip: trip), clock: clock)
            let before = readings.value
            for _ in 0..<10 { try await breaker.run {} }
            try breaker.acquire().ignore()
            #expect(readings.value == before)
        }
        let counting = Breaker(
            BreakerConfiguration(trip: .failureRate(1, minimumCalls: 9, within: .seconds(1))),
            clock: clock
        )
        let before = readings.value
        try await counting.run {}
        #expect(readings.value == before + 1)
    }

    @Test("a success after a failure still begins the count again, and one after a reload is judged by the new rule")
    func successCounts() async throws {
        let breaker = Breaker(.consecutiveFailures(2))
        for _ in 0..<5 {
            _ = try? await breaker.run { throw Failure() }
            try await breaker.run {}
        }
        #expect(breaker.state == .closed)
        breaker.reload(BreakerConfiguration(trip: .failureRate(0.5, minimumCalls: 4, within: .seconds(3600))))
        for _ in 0..<3 { try await breaker.run {} }
        _ = try? await breaker.run { throw Failure() }
        #expect(breaker.state == .closed)
        for _ in 0..<2 { _ = try? await breaker.run { throw Failure() } }
        guard case .open = breaker.state else {
            Issue.record("successes were not counted")
            return
        }
    }
}
