import CheckSupport
import StoreSimulation

/// Repeats random workloads with an error at every call to the file system.
///
/// `--count` is the number of workloads. `--first` is the first seed.
func errorsSuite(_ options: Options) -> SuiteResult {
    sweepSuite("errors", ErrorSweep.self, options) { counts in
        "\(counts.workloads) workloads with \(counts.faults) faults: \(counts.failures) stores failed, "
            + "\(counts.rejectedOpenings) openings and \(counts.rejectedWrites) writes were rejected, "
            + "\(counts.crashes) crashes after them"
    }
}

/// Writes snapshots of stores in use, with a crash and an error at every call to the file system of the snapshot.
///
/// `--count` is the number of workloads. `--first` is the first seed.
func snapshotsSuite(_ options: Options) -> SuiteResult {
    sweepSuite("snapshots", SnapshotSweep.self, options) { counts in
        "\(counts.snapshots) snapshots: \(counts.crashes) crashes, of which \(counts.whole) left a whole copy, "
            + "and \(counts.faults) faults"
    }
}

private func sweepSuite<S: Sweep>(
    _ name: String,
    _: S.Type,
    _ options: Options,
    summary: (S.Counts) -> String
) -> SuiteResult {
    let first = options["first"] ?? 0
    let count = options["count"] ?? 20
    let shares = onAllProcessors { share, shares in
        var counts = S.Counts()
        var failures: [String] = []
        for seed in stride(from: first + share, to: first + count, by: shares) where failures.count < 10 {
            var sweep = S(UInt64(seed))
            do throws(Violation) {
                try sweep.run()
            } catch {
                failures.append("\(error)\n  swift run -c release StoreCheck \(name) --first \(seed) --count 1")
                endSoon(after: failures[0])
            }
            counts.add(sweep.counts)
        }
        return (counts, failures)
    }
    var counts = S.Counts()
    for share in shares { counts.add(share.0) }
    return SuiteResult(summary: summary(counts), failures: shares.flatMap(\.1))
}
