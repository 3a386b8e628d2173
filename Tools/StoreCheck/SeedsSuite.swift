import CheckSupport
import StoreSimulation

/// Runs long random workloads with crashes, determined by their seeds.
///
/// `--first` is the first seed. `--count` is the number of workloads.
func seedsSuite(_ options: Options) -> SuiteResult {
    let first = UInt64(clamping: options["first"] ?? 0)
    let count = UInt64(clamping: options["count"] ?? 1000)
    let shares = onAllProcessors { share, shares in
        var counts = CrashCounts()
        var operations = 0
        var failures: [String] = []
        for number in stride(from: UInt64(share), to: count, by: shares) where failures.count < 10 {
            let seed = first &+ number
            var run = CrashSeed(seed)
            do throws(Violation) {
                try run.run()
            } catch {
                let command = "swift run -c release StoreCheck seeds --first \(seed) --count 1"
                failures.append("seed \(seed), \(error)\n  \(command)")
                endSoon(after: failures[0])
            }
            counts.add(run.counts)
            operations += run.operations
        }
        return (counts, operations, failures)
    }
    var counts = CrashCounts()
    for share in shares { counts.add(share.0) }
    let operations = shares.reduce(0) { $0 + $1.1 }
    let summary =
        "\(counts.workloads) seeds with \(operations) operations and \(counts.states) crashes, "
        + "\(counts.inRecovery) of them during a recovery; \(counts.rejections) rejections after half a sector was written"
    return SuiteResult(summary: summary, failures: shares.flatMap(\.2))
}
