import CheckSupport
import StoreSimulation

/// Crashes small workloads after every call to the file system in every way.
///
/// `--states` is the approximate number of crashes. `--length` is the maximum number of steps of a workload.
/// `--workload` with `--quota` checks one workload only.
func crashesSuite(_ options: Options) -> SuiteResult {
    if let number = options["workload"] {
        var explorer = CrashExplorer(workload: number, quota: options["quota"] ?? .max)
        do throws(Violation) {
            try explorer.explore()
            return SuiteResult(summary: describe(explorer.counts))
        } catch {
            return SuiteResult(summary: describe(explorer.counts), failures: ["\(error)"])
        }
    }
    let states = options["states"] ?? 200_000
    let length = options["length"] ?? (states > 2_000_000 ? 4 : 3)
    let all = Workload.count(upTo: length)
    let short = Workload.count(upTo: length - 1)
    // The few shorter workloads get a quarter of the crashes. Some of the longer workloads are left out if there are
    // too many.
    let shortQuota = max(4, states / 4 / short)
    let quota = max(24, 3 * states / 4 / (all - short))
    let stride = max(1, (all - short) * quota * 4 / (states * 3))
    let shares = onAllProcessors { share, shares in
        var counts = CrashCounts()
        var failures: [String] = []
        func explore(_ number: Int, _ quota: Int) {
            var explorer = CrashExplorer(workload: number, quota: quota)
            do throws(Violation) {
                try explorer.explore()
            } catch {
                let command = "swift run -c release StoreCheck crashes --workload \(number) --quota \(quota)"
                failures.append("\(error)\n  \(command)")
                endSoon(after: failures[0])
            }
            counts.add(explorer.counts)
        }
        var number = share
        while number < all, failures.count < 10 {
            if number < short {
                explore(number, shortQuota)
            } else if (number - short) / shares % stride == 0 {
                explore(number, quota)
            }
            number += shares
        }
        return (counts, failures)
    }
    var counts = CrashCounts()
    for share in shares { counts.add(share.0) }
    return SuiteResult(summary: describe(counts), failures: shares.flatMap(\.1))
}

private func describe(_ counts: CrashCounts) -> String {
    "\(counts.states) crash states of \(counts.workloads) workloads; \(counts.inRecovery) of them during a recovery, "
        + "\(counts.afterRecovery) after one; \(counts.rejections) rejections after half a sector was written"
}
