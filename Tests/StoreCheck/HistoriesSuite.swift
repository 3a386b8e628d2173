import Foundation
import StoreSimulation
import Synchronization

/// Lets several tasks use a store with its thread at once, and looks for an order of their calls.
///
/// `--count` says how many histories there are, `--first` with which seed to begin. How the calls meet is up to the
/// machine, so one seed is tried again with `--times`.
func historiesSuite(_ options: Options) -> SuiteResult {
    let first = options["first"] ?? 0
    let count = options["count"] ?? 500
    let times = options["times"] ?? 1
    let shares = max(1, ProcessInfo.processInfo.activeProcessorCount)
    let tally = Tally()
    let done = DispatchSemaphore(value: 0)
    for share in 0..<shares {
        Task.detached {
            var number = share
            while number < count * times, tally.state.withLock({ $0.failures.count }) < 10 {
                let seed = first + number / times
                let verdict = await HistoryRun(seed: UInt64(seed)).verdict()
                tally.state.withLock { state in
                    state.counts.add(verdict.counts)
                    if let problem = verdict.problem {
                        let command = "swift run -c release StoreCheck histories --first \(seed) --count 1 --times 1000"
                        state.failures.append("\(problem)\n  \(command)")
                    }
                }
                number += shares
            }
            done.signal()
        }
    }
    for _ in 0..<shares { done.wait() }
    let (counts, failures) = tally.state.withLock { ($0.counts, $0.failures) }
    return SuiteResult(
        summary: "\(count * times) histories of \(counts.calls) calls, \(counts.cancelled) of them cancelled in time, "
            + "\(counts.unknown) of unknown outcome; \(counts.openings) openings",
        failures: failures
    )
}

private final class Tally: Sendable {
    let state = Mutex<(counts: HistoryCounts, failures: [String])>((HistoryCounts(), []))
}
