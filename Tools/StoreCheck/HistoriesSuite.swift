import CheckSupport
import Foundation
import StoreSimulation
import Synchronization

/// Runs concurrent clients of a store with its thread, and searches an order of their calls.
///
/// `--count` is the number of histories. `--first` is the first seed. The interleaving depends on the machine, so
/// `--times` repeats each seed.
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
                tally.state.withLock { $0.begun += [seed] }
                let result = await HistoryRun(seed: UInt64(seed)).result()
                tally.state.withLock { state in
                    state.counts.add(result.counts)
                    state.begun.removeAll { $0 == seed }
                    state.histories += 1
                    if let problem = result.problem { state.failures.append("\(problem)\n  \(command(seed))") }
                }
                number += shares
            }
            done.signal()
        }
    }
    // A call without an answer would block the suite forever.
    var calls = 0
    for _ in 0..<shares {
        while done.wait(timeout: .now() + 60) == .timedOut {
            let state = tally.state.withLock { $0 }
            if state.counts.calls == calls {
                tally.state.withLock { $0.failures += state.begun.map { "a call is never answered\n  \(command($0))" } }
                return tally.result
            }
            calls = state.counts.calls
        }
    }
    return tally.result
}

private func command(_ seed: Int) -> String {
    "swift run -c release StoreCheck histories --first \(seed) --count 1 --times 1000"
}

private final class Tally: Sendable {
    struct State {
        var histories = 0
        var counts = HistoryCounts()
        var failures: [String] = []
        /// The seeds of the current histories.
        var begun: [Int] = []
    }

    let state = Mutex(State())

    var result: SuiteResult {
        let state = state.withLock { $0 }
        let counts = state.counts
        return SuiteResult(
            summary: "\(state.histories) histories of \(counts.calls) calls, \(counts.cancelled) of them cancelled in "
                + "time, \(counts.unknown) of unknown outcome; \(counts.openings) openings",
            failures: state.failures
        )
    }
}
