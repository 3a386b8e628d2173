import CallSimulation
import CheckSupport

/// Compares circuit breakers with a plain model over random traces of all configurations.
///
/// `--steps` is the number of steps of all traces, and `--seed` selects the traces. `--number` runs a single trace and
/// prints its steps. `--first` stops at the first difference.
func breakerSuite(_ options: Options) -> SuiteResult {
    let steps = options["steps"] ?? 1_000_000
    let seed = UInt64(truncatingIfNeeded: options["seed"] ?? 1)
    if let number = options["number"] {
        var trace = BreakerTrace(seed: seed, number: number)
        let difference = trace.firstDifference()
        for step in trace.steps { print(step) }
        return SuiteResult(summary: "trace \(number)", failures: [difference].compactMap(\.self))
    }
    let count = max(1, steps / BreakerTrace.length)
    let stopsAtFirst = options["first"] != nil
    let shares = onAllProcessors { share, shares in
        var found: [(number: Int, difference: String)] = []
        for number in stride(from: share, to: count, by: shares) {
            var trace = BreakerTrace(seed: seed, number: number)
            guard let difference = trace.firstDifference() else { continue }
            found.append((number, difference))
            if stopsAtFirst { break }
        }
        return found
    }
    let found = shares.flatMap(\.self).sorted { $0.number < $1.number }
    let failures = found.prefix(1).map { number, difference in
        "\(found.count) of \(count) traces differ, number \(number) first: \(difference)\n"
            + "  CallCheck breaker --seed \(seed) --number \(number)"
    }
    return SuiteResult(summary: "\(count * BreakerTrace.length) steps in \(count) traces", failures: failures)
}
