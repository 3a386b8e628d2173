import CheckSupport
import StoreSimulation

/// Crashes after every call to the file system that small workloads make, in every way.
///
/// `--states` is about how many crashes to try, `--length` how many steps a workload has at most; `--workload` with
/// `--quota` looks at one workload only.
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
    // A quarter of them in the workloads that are shorter, of which there are few; of the others, some are left out
    // where there are more than can be looked at.
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
                failures.append(
                    "\(error)\n  swift run -c release StoreCheck crashes --workload \(number) --quota \(quota)"
                )
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
        + "\(counts.afterRecovery) after one; \(counts.refusals) refusals after half a sector was written"
}
