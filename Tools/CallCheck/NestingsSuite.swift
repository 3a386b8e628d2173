import CallSimulation
import CheckSupport

/// Runs random nestings of policies in a simulation, and checks the laws that hold for every nesting.
///
/// `--count` says how many nestings there are, `--seed` which ones. A failure prints a smaller nesting that breaks the
/// same law, as Swift source for a test. `--first` stops at the first failure and does not look for a smaller one.
/// `--number` looks at one nesting only, and prints its schedule.
func nestingsSuite(_ options: Options) -> SuiteResult {
    let count = options["count"] ?? 20_000
    let seed = UInt64(truncatingIfNeeded: options["seed"] ?? 1)
    if let number = options["number"] {
        let nesting = NestingGenerator.nesting(seed: seed, number: number)
        print(nesting)
        for line in nesting.schedule { print(line) }
        return SuiteResult(summary: "nesting \(number)", failures: nesting.violations.map(\.description))
    }
    let stopsAtFirst = options["first"] != nil
    let shares = onAllProcessors { share, shares in
        var found: [(number: Int, nesting: Nesting, violations: [Violation])] = []
        for number in stride(from: share, to: count, by: shares) {
            let nesting = NestingGenerator.nesting(seed: seed, number: number)
            let violations = nesting.violations
            if violations.isEmpty { continue }
            found.append((number, nesting, violations))
            if stopsAtFirst { break }
        }
        return found
    }
    let found = shares.flatMap(\.self).sorted { $0.number < $1.number }
    var failures: [String] = []
    for law in Law.allCases {
        let broken = found.filter { $0.violations.contains { $0.law == law } }
        guard let (number, first, _) = broken.first else { continue }
        let shown = stopsAtFirst ? first : first.shrunk(breaking: law)
        let violation = shown.violations.first { $0.law == law }
        failures.append(
            "\(violation.map { "\($0)" } ?? "\(law)")\n  \(broken.count) of \(count) nestings break this law, number \(number) first, as this one does:\n"
                + shown.description.split(separator: "\n").map { "    \($0)" }.joined(separator: "\n")
        )
    }
    return SuiteResult(
        summary: "\(count) nestings of \(NestingGenerator.pairs) pairs, \(found.count) of which break a law",
        failures: failures
    )
}
