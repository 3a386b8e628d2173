import CircuitBreaker
import ReliabilityTesting
import Timeout

private let seeds: UInt64 = 2000
private let rounds = 7

/// Runs schedules of a small scenario: callers of a bank that hangs for a while, through a breaker and a timeout.
@Sendable
func schedulesSuite() async {
    var seconds = Measurement()
    var failure: SimulationFailure?
    for round in 0..<rounds {
        let first = UInt64(round) * seeds
        let start = ContinuousClock.now
        do { try Simulation.run(seeds: first..<first + seeds, scenario) } catch { failure = error }
        seconds.keep(Double(seeds) / ((ContinuousClock.now - start) / .seconds(1)))
    }
    if let failure { print(failure) }
    print(seconds.line("schedules of ten calls", "a second"))

    var digest: UInt64 = 0xCBF2_9CE4_8422_2325
    var steps = 0
    for seed in 0..<100 as Range<UInt64> {
        let trace = (try? Simulation.run(seed: seed, scenario)) ?? []
        steps += trace.count
        for byte in trace.joined(separator: "\n").utf8 { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }
    print("steps of one: \(steps / 100)")
    print("digest of a hundred traces, the same in every process: \(String(digest, radix: 16))")
}

@Sendable
private func scenario(_ simulation: Simulation) async throws {
    let clock = simulation.clock
    let bank = ScriptedDependency(
        [.zero: .healthy(latency: .zero...(.seconds(3))), .seconds(5): .hanging, .seconds(60): .healthy()],
        clock: clock,
        seed: simulation.seed
    )
    let breaker = Breaker(Breaker.Configuration(tripCondition: .consecutiveFailures(3)), clock: clock)
    for caller in 0..<10 {
        simulation.spawn {
            try await clock.sleep(for: .seconds(caller))
            try await breaker.run { try await withTimeout(.seconds(2), clock: clock) { try await bank.call() } }
        }
    }
    await simulation.waitForClients()
    try bank.history.require(.atMostConcurrent(10))
}
