import ReliabilityTesting
import Testing

@testable import Reliability

/// The circuit breaker of the presets under steady traffic, in virtual time.
@Suite("ExternalCall: circuit breaker under load")
struct ExternalCallBreakerTests {
    private struct Load {
        var callsPerSecond: Double
        var seconds: Int
        var errorRate = 0.0
        var tripCondition = TripCondition.standard
    }

    private struct Result {
        var calls = 0
        var rejected = 0
        var failed = 0
        var firstRejection: Duration?

        var rejectedShare: Double { Double(rejected) / Double(max(1, calls)) }
    }

    /// Makes calls at an even pace, regardless of the results of earlier calls.
    private func run(
        _ load: Load,
        preset: ExternalCall.Configuration = .externalAPI(.idempotent),
        behavior: DependencyBehavior? = nil,
        seed: UInt64 = 1
    ) throws -> Result {
        let total = Lock(Result())
        try Simulation.run(seeds: seed..<seed + 1, maxSteps: 50_000_000) { simulation in
            let clock = simulation.clock
            var configuration = preset
            configuration.breaker.tripCondition = load.tripCondition
            let call = ExternalCall(
                "bank",
                configuration,
                budget: RetryBudget(clock: clock),
                clock: clock,
                randomness: simulation.generator()
            )
            let bank = ScriptedDependency(
                [
                    .zero: behavior
                        ?? .healthy(
                            latency: .milliseconds(20)...(.milliseconds(80)),
                            errorRate: load.errorRate
                        )
                ],
                clock: clock,
                seed: simulation.seed
            )
            let start = clock.now
            let calls = Int(load.callsPerSecond * Double(load.seconds))
            // Each worker makes every n-th call. There are enough workers for calls that all take their limit.
            let workers = min(calls, Int(load.callsPerSecond * 8.5) + 1)
            for worker in 0..<workers {
                simulation.spawn {
                    for number in stride(from: worker, to: calls, by: workers) {
                        let due = Duration.nanoseconds(Int64(Double(number) / load.callsPerSecond * 1e9))
                        try await clock.sleep(until: start.advanced(by: due), tolerance: nil)
                        let error: (any Error)?
                        do {
                            try await call.run { try await bank.call() }
                            error = nil
                        } catch let thrown { error = thrown }
                        let now = start.duration(to: clock.now)
                        total.withLock { total in
                            total.calls += 1
                            guard let error else { return }
                            let codes = (error as? any ReliabilityError)?.codes ?? []
                            if codes.last == "circuit_breaker.open" {
                                total.rejected += 1
                                total.firstRejection = min(total.firstRejection ?? now, now)
                            } else {
                                total.failed += 1
                            }
                        }
                    }
                }
            }
            await simulation.waitForClients()
        }
        return total.withLock { $0 }
    }

    private func seconds(_ callsPerSecond: Double) -> Int { Int(min(600, 3000 / callsPerSecond)) }

    @Test(
        "random errors that retries recover reject no call at any traffic",
        arguments: [0.2, 1, 10, 100],
        [0.005, 0.01, 0.02, 0.05]
    )
    func randomErrors(callsPerSecond: Double, errorRate: Double) throws {
        let load = Load(callsPerSecond: callsPerSecond, seconds: seconds(callsPerSecond), errorRate: errorRate)
        let result = try run(load)
        #expect(result.rejected == 0)
        // Three consecutive errors end a call: at 5 %, one call of 8,000.
        #expect(result.failed <= 3)
    }

    @Test(
        "three failures in a minute reject many calls to a busy and healthy dependency",
        arguments: [
            (0.2, 0.05, 0.05...0.3), (1, 0.01, 0...0.1), (10, 0.005, 0.15...0.35), (10, 0.02, 0.5...0.75),
            (100, 0.01, 0.85...1),
        ] as [(Double, Double, ClosedRange<Double>)]
    )
    func threeInAMinute(callsPerSecond: Double, errorRate: Double, rejected: ClosedRange<Double>) throws {
        for preset in [ExternalCall.Configuration.externalAPI(.idempotent), .cache(.idempotent)] {
            let load = Load(
                callsPerSecond: callsPerSecond,
                seconds: seconds(callsPerSecond),
                errorRate: errorRate,
                tripCondition: .failures(3, within: .seconds(60))
            )
            let result = try run(load, preset: preset)
            #expect(rejected.contains(result.rejectedShare), "\(result)")
        }
    }

    @Test("at 30 % of errors and 100 calls a second five consecutive failures open the breaker, and ten do not")
    func inARow() throws {
        func rejectedShare(_ count: Int) throws -> Double {
            let rate = TripCondition.failureRate(0.5, minCalls: 20, within: .seconds(10))
            let trip = rate.or(.consecutiveFailures(count))
            return try run(Load(callsPerSecond: 100, seconds: 30, errorRate: 0.3, tripCondition: trip)).rejectedShare
        }
        #expect(try rejectedShare(5) > 0.5)
        #expect(try rejectedShare(10) == 0)
    }

    @Test(
        "a dead dependency opens the breaker within seconds, whether it fails or hangs",
        arguments: [
            // calls a second, first rejection and failed calls with errors, first rejection with hanging calls
            (0.2, 15.2, 3, 20), (1, 3.2, 3, 8), (10, 0.9, 9, 3.7), (100, 0.2, 3, 3.7),
        ] as [(Double, Double, Int, Double)]
    )
    func dead(callsPerSecond: Double, failing: Double, failures: Int, hanging: Double) throws {
        let load = Load(callsPerSecond: callsPerSecond, seconds: min(60, Int(1500 / callsPerSecond)))
        let failed = try run(load, behavior: .failing(latency: .milliseconds(20)...(.milliseconds(80))))
        #expect(try #require(failed.firstRejection) <= .seconds(failing))
        #expect(failed.failed <= failures, "failed calls before the breaker opened")
        let hung = try run(load, behavior: .hanging)
        let first = try #require(hung.firstRejection)
        #expect(first <= .seconds(hanging), "\(first)")
    }

    @Test("a failure rate alone never opens the breaker of a dead dependency at low traffic")
    func rateAlone() throws {
        let rate = TripCondition.failureRate(0.5, minCalls: 20, within: .seconds(10))
        let result = try run(Load(callsPerSecond: 0.2, seconds: 120, tripCondition: rate), behavior: .failing())
        #expect(result.rejected == 0 && result.failed == 24)
    }
}
