import CircuitBreaker
import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

@Suite("Breaker: reopening, ramp and hints")
struct BreakerRecoveryTests {
    private let clock = ManualClock()

    private func breaker(_ change: (inout Breaker.Configuration) -> Void, seed: UInt64 = 1) -> Breaker {
        var configuration = Breaker.Configuration(tripCondition: .consecutiveFailures(1), openDuration: .seconds(10))
        change(&configuration)
        return Breaker(configuration, clock: clock, randomness: SeededGenerator(seed: seed))
    }

    private func remaining(_ breaker: Breaker) -> Duration? {
        if case .open(let remaining) = breaker.state { remaining } else { nil }
    }

    @Test("each reopening multiplies the open time up to the maximum, and a recovery resets the open time")
    func growth() throws {
        let breaker = breaker {
            $0.openDurationFactor = 3
            $0.maxOpenDuration = .seconds(60)
        }
        for expected in [10, 30, 60, 60] {
            try breaker.acquire().fail()
            #expect(remaining(breaker) == .seconds(expected))
            clock.advance(by: .seconds(expected))
        }
        try breaker.acquire().succeed()
        try breaker.acquire().fail()
        #expect(remaining(breaker) == .seconds(10))
    }

    @Test("the open time grows to ten times at most by default")
    func defaultMaximum() throws {
        let breaker = breaker { $0.openDurationFactor = 100 }
        for expected in [10, 100, 100] {
            try breaker.acquire().fail()
            #expect(remaining(breaker) == .seconds(expected))
            clock.advance(by: .seconds(expected))
        }
    }

    @Test("INV-10: N breakers opened at the same instant do not probe at one instant (jitter spread ≥ x)")
    func jitter() throws {
        let times = try (UInt64(0)..<200).map { seed in
            let breaker = breaker({ $0.jitter = 0.5 }, seed: seed)
            try breaker.acquire().fail()
            return try #require(remaining(breaker))
        }
        #expect(times.allSatisfy { (.seconds(10)...(.seconds(15))).contains($0) })
        #expect(Set(times).count > 190)
        for tenth in 0..<10 {
            let range = Duration.milliseconds(10_000 + tenth * 500)..<Duration.milliseconds(10_500 + tenth * 500)
            let share = times.count { range.contains($0) }
            #expect((5...40).contains(share), "\(share) of 200 breakers in \(range)")
        }
        let again = breaker({ $0.jitter = 0.5 }, seed: 7)
        try again.acquire().fail()
        #expect(remaining(again) == times[7])
    }

    @Test(
        """
        INV-11: during `rampUp`, admitted fraction is non-decreasing from p0 to 1 and falls back to open on threshold
        """
    )
    func ramp() throws {
        let breaker = breaker {
            $0.rampDuration = .seconds(10)
            $0.rampStart = 0.2
            $0.openDurationFactor = 2
        }
        try breaker.acquire().fail()
        clock.advance(by: .seconds(10))
        try breaker.acquire().succeed()
        #expect(breaker.state == .ramping(admittedShare: 0.2))
        var shares: [Double] = []
        for second in 0..<10 {
            var admitted = 0
            for _ in 0..<100 {
                do {
                    try breaker.acquire().succeed()
                    admitted += 1
                } catch { #expect(error.retryAfter == .seconds(10 - second)) }
            }
            shares.append(Double(admitted) / 100)
            clock.advance(by: .seconds(1))
        }
        #expect(shares == shares.sorted())
        for (second, share) in shares.enumerated() {
            #expect(abs(share - (0.2 + 0.08 * Double(second))) < 0.021, "second \(second)")
        }
        #expect(breaker.state == .closed)
        for _ in 0..<100 { try breaker.acquire().succeed() }
        // After the ramp, the open time starts again.
        try breaker.acquire().fail()
        #expect(remaining(breaker) == .seconds(10))
        clock.advance(by: .seconds(10))
        try breaker.acquire().succeed()
        #expect(breaker.state == .ramping(admittedShare: 0.2))
        try breaker.acquire().fail()
        #expect(remaining(breaker) == .seconds(20), "a failure during the ramp is a reopening")
    }

    @Test("an error with retryAfter opens the breaker for this time and at most for the configured time")
    func hints() async throws {
        let hinting = breaker {
            $0.maxRetryAfter = .seconds(60)
            $0.tripCondition = .consecutiveFailures(100)
        }
        func fail(_ error: any Error) async { _ = try? await hinting.run { throw error } }
        await fail(TestReliabilityError(.timeout, retryAfter: .seconds(40)))
        await fail(TestReliabilityError(.unavailable))
        await fail(TestReliabilityError(.unavailable, retryAfter: .zero))
        await fail(TestReliabilityError(.unavailable, retryAfter: .seconds(-1)))
        #expect(hinting.state == .closed)
        for (error, wait) in [
            (TestReliabilityError(.unavailable, retryAfter: .seconds(40)), 40),
            (TestReliabilityError(.rateLimited, retryAfter: .seconds(40)), 40),
            (TestReliabilityError(.unavailable, retryAfter: .seconds(Int64.max)), 60),
        ] {
            await fail(error)
            #expect(remaining(hinting) == .seconds(wait))
            clock.advance(by: .seconds(wait))
            try await hinting.run {}
            #expect(hinting.state == .closed)
        }
        try hinting.acquire().fail(retryAfter: .seconds(5))
        #expect(remaining(hinting) == .seconds(5))
        clock.advance(by: .seconds(5))
        // A probe may get a hint too.
        await fail(TestReliabilityError(.rateLimited, retryAfter: .seconds(7)))
        #expect(remaining(hinting) == .seconds(7))

        let deaf = breaker { $0.tripCondition = .consecutiveFailures(100) }
        _ = try? await deaf.run { throw TestReliabilityError(.unavailable, retryAfter: .seconds(40)) }
        #expect(deaf.state == .closed)
    }

    @Test("the retryAfter of a call that its caller cancelled or another policy rejected opens nothing")
    func foreignHints() async {
        let breaker = breaker { $0.maxRetryAfter = .seconds(60) }
        let task = Task {
            try await breaker.run {
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                throw TestReliabilityError(.unavailable, retryAfter: .seconds(40))
            }
        }
        _ = await task.result
        _ = try? await breaker.run { throw TestRejection() }
        #expect(breaker.state == .closed)
    }

    @Test("bad values of a configuration are reported with the value")
    func validation() {
        func problems(_ change: (inout Breaker.Configuration) -> Void) -> [String] {
            var configuration = Breaker.Configuration.standard
            change(&configuration)
            return TestSupport.problems(of: configuration.validate)
        }
        #expect(problems { $0.openDurationFactor = 0.5 } == ["openDurationFactor must be from 1 to 100 (is 0.5)"])
        #expect(problems { $0.openDurationFactor = .nan } == ["openDurationFactor must be from 1 to 100 (is nan)"])
        #expect(
            problems { $0.maxOpenDuration = .seconds(29) }
                == ["maxOpenDuration must be at least openDuration (is 29.0 seconds)"]
        )
        #expect(problems { $0.jitter = 1.5 } == ["jitter must be from 0 to 1 (is 1.5)"])
        #expect(problems { $0.maxRetryAfter = .zero } == ["maxRetryAfter must be positive (is 0.0 seconds)"])
        #expect(
            problems { $0.maxConcurrentProbes = 1001 } == ["maxConcurrentProbes must be from 1 to 1,000 (is 1001)"]
        )
        for bad in [-1, 1, Int.max] {
            #expect(
                problems { $0.toleratedProbeFailures = bad }
                    == ["toleratedProbeFailures must be at least 0 and less than probes (is \(bad))"]
            )
        }
        #expect(problems { $0.probeLease = .zero } == ["probeLease must be positive (is 0.0 seconds)"])
        #expect(problems { $0.rampDuration = .seconds(-1) } == ["rampDuration must not be negative (is -1.0 seconds)"])
        #expect(problems { $0.rampStart = 0 } == ["rampStart must be above 0 and at most 1 (is 0.0)"])
        #expect(
            problems {
                $0.probes = .min
                $0.toleratedProbeFailures = .min
            }.count == 2
        )
    }
}
