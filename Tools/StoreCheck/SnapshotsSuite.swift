import CheckSupport
import StoreSimulation

/// Writes snapshots of stores in use, with a crash and an error at every call to the file system of the snapshot.
///
/// `--count` is the number of workloads. `--first` is the first seed.
func snapshotsSuite(_ options: Options) -> SuiteResult {
    let first = options["first"] ?? 0
    let count = options["count"] ?? 20
    let shares = onAllProcessors { share, shares in
        var counts = SnapshotCounts()
        var failures: [String] = []
        for seed in stride(from: first + share, to: first + count, by: shares) where failures.count < 10 {
            var sweep = SnapshotSweep(UInt64(seed))
            do throws(Violation) {
                try sweep.run()
            } catch {
                failures.append("\(error)\n  swift run -c release StoreCheck snapshots --first \(seed) --count 1")
            }
            counts.add(sweep.counts)
        }
        return (counts, failures)
    }
    var counts = SnapshotCounts()
    for share in shares { counts.add(share.0) }
    return SuiteResult(
        summary:
            "\(counts.snapshots) snapshots: \(counts.crashes) crashes, of which \(counts.whole) left a whole copy, "
            + "and \(counts.faults) faults",
        failures: shares.flatMap(\.1)
    )
}
