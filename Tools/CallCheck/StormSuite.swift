import CheckSupport
import ReliabilityTesting
import StormModel
import Synchronization

/// Runs storms of requests in a simulation, and checks what a guarded service keeps up.
///
/// `--count` says how many storms there are, `--seed` the first one, and `--seconds` their length. The service without guards has to collapse in each,
/// so that the check can fail.
func stormSuite(_ options: Options) -> SuiteResult {
    let first = UInt64(truncatingIfNeeded: options["seed"] ?? 1)
    let count = options["count"] ?? 2
    let storm = Storm(seconds: options["seconds"] ?? 60)
    var failures: [String] = []
    var text: [String] = []
    for seed in first..<first &+ UInt64(count) {
        let command = "storm --seed \(seed) --count 1 --seconds \(storm.seconds.storm)"
        do {
            let guarded = try report(storm, seed: seed, isGuarded: true)
            let bare = try report(storm, seed: seed, isGuarded: false)
            failures += problems(guarded, bare).map { "\(command): \($0)" }
            text = StormReport.comparison(guarded, bare)
        } catch { failures.append("\(command): \(error)") }
    }
    for line in text { print(line) }
    return SuiteResult(summary: "\(count) storms with and without guards", failures: failures)
}

private func problems(_ guarded: StormReport, _ bare: StormReport) -> [String] {
    var problems: [String] = []
    if guarded.goodput < 0.9 { problems.append("the goodput is \(guarded.goodput) of the capacity") }
    let (calm, storm) = (guarded.quantile(0.99, isStorm: false), guarded.quantile(0.99, isStorm: true))
    if storm > calm * 3 { problems.append("p99 of served requests is \(storm), before the storm \(calm)") }
    // Otherwise the quantile would leave out the admitted requests that took the longest.
    if guarded.failures > 0 { problems.append("\(guarded.failures) admitted requests were not served") }
    if let second = guarded.unfairSeconds.first {
        problems.append("in second \(second), a request was shed and one of a lower priority was served")
    }
    if guarded.recovery.map({ $0 > 5 }) ?? true {
        problems.append("the recovery takes \(guarded.recovery.map { "\($0) s" } ?? "longer than the run")")
    }
    if bare.goodput > 0.5, bare.recovery.map({ $0 <= 5 }) ?? false {
        problems.append("the service without guards does not collapse: goodput \(bare.goodput)")
    }
    return problems
}

private func report(_ storm: Storm, seed: UInt64, isGuarded: Bool) throws -> StormReport {
    let found = Mutex<StormReport?>(nil)
    try Simulation.run(seeds: seed..<seed + 1, maxSteps: 100_000_000) { simulation in
        let report = try await storm.run(
            isGuarded: isGuarded,
            clock: simulation.clock,
            generator: simulation.generator()
        ) { work in simulation.spawn { await work() } }
        found.withLock { $0 = report }
    }
    guard let report = found.withLock({ $0 }) else { throw NoReport() }
    return report
}

private struct NoReport: Error {}
