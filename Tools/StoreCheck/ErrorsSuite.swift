import CheckSupport
import StoreSimulation

/// Repeats random workloads with an error at every call to the file system.
///
/// `--count` is the number of workloads. `--first` is the first seed.
func errorsSuite(_ options: Options) -> SuiteResult {
    let first = options["first"] ?? 0
    let count = options["count"] ?? 20
    let shares = onAllProcessors { share, shares in
        var counts = ErrorCounts()
        var failures: [String] = []
        for seed in stride(from: first + share, to: first + count, by: shares) where failures.count < 10 {
            var sweep = ErrorSweep(UInt64(seed))
            do throws(Violation) {
                try sweep.run()
            } catch {
                failures.append("\(error)\n  swift run -c release StoreCheck errors --first \(seed) --count 1")
                endSoon(after: failures[0])
            }
            counts.add(sweep.counts)
        }
        return (counts, failures)
    }
    var counts = ErrorCounts()
    for share in shares { counts.add(share.0) }
    return SuiteResult(
        summary: "\(counts.workloads) workloads with \(counts.faults) faults: \(counts.failures) stores failed, "
            + "\(counts.rejectedOpenings) openings and \(counts.rejectedWrites) writes were rejected, "
            + "\(counts.crashes) crashes after them",
        failures: shares.flatMap(\.1)
    )
}
