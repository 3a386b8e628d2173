import CacheSimulation
import CheckSupport
import ReliabilityTesting

/// Runs two admins who edit quotes while readers load, over a shared store that fails.
///
/// `--count` is the number of schedules and `--seed` the first schedule. With `--first`, the suite ends at the first
/// violation.
func cacheSuite(_ options: Options) -> SuiteResult {
    let first = UInt64(truncatingIfNeeded: options["seed"] ?? 1)
    let count = UInt64(clamping: options["count"] ?? 1000)
    let failures = onAllProcessors { share, shares -> [String] in
        var failures: [String] = []
        for number in stride(from: UInt64(share), to: count, by: shares) {
            let seed = first &+ number
            do throws(SimulationFailure) {
                try Simulation.run(seeds: seed..<seed + 1) { try await TwoAdmins($0).run() }
            } catch {
                failures.append("cache --seed \(seed) --count 1: \(error)")
                if options["first"] == nil { continue }
                endSoon(after: failures[0])
                break
            }
        }
        return failures
    }
    return SuiteResult(summary: "\(count) schedules", failures: failures.flatMap { $0 })
}
