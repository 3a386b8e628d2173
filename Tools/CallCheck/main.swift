import CheckSupport
import Foundation

let figures: [(name: String, run: @Sendable () async -> Void)] = [
    ("pending", pendingSuite), ("schedules", schedulesSuite), ("overload", overloadSuite),
]

let arguments = CommandLine.arguments.dropFirst()
let suites: [(name: String, options: [String], run: (Options) -> SuiteResult)] = [
    ("nestings", ["count", "seed", "number", "first"], nestingsSuite),
    ("storm", ["count", "seed", "seconds"], stormSuite),
    ("cache", ["count", "seed", "first"], cacheSuite),
    ("breaker", ["steps", "seed", "number", "first"], breakerSuite),
]
if let suite = suites.first(where: { $0.name == arguments.first }),
    let options = Options(arguments.dropFirst(), known: suite.options)
{
    let start = ContinuousClock.now
    let result = suite.run(options)
    for failure in result.failures { print("VIOLATION: \(failure)") }
    let seconds = Double((ContinuousClock.now - start) / .milliseconds(1)) / 1000
    print("\(suite.name): \(result.summary); \(result.failures.count) violations; \(seconds) s")
    exit(result.failures.isEmpty ? 0 : 1)
}
let chosen = figures.filter { arguments.contains($0.name) }
guard !chosen.isEmpty, chosen.count == arguments.count else {
    print("CallCheck " + figures.map(\.name).joined(separator: " | "))
    print("CallCheck nestings [--count NUMBER] [--seed NUMBER] [--number NUMBER] [--first]")
    print("CallCheck storm [--count NUMBER] [--seed NUMBER] [--seconds NUMBER]")
    print("CallCheck cache [--count NUMBER] [--seed NUMBER] [--first]")
    print("CallCheck breaker [--steps NUMBER] [--seed NUMBER] [--number NUMBER] [--first]")
    exit(2)
}
for figure in chosen { await figure.run() }
