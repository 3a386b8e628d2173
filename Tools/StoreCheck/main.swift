import CheckSupport
import Foundation

let suites: [(name: String, options: [String], run: @Sendable (Options) -> SuiteResult)] = [
    ("crashes", ["states", "length", "workload", "quota"], crashesSuite),
    ("seeds", ["first", "count"], seedsSuite),
    ("errors", ["first", "count"], errorsSuite),
    ("flips", ["count", "seed", "all", "image", "case", "bit"], flipsSuite),
    ("growth", ["size", "factor"], growthSuite),
    ("histories", ["first", "count", "times"], historiesSuite),
    ("memory", ["count", "clients"], memorySuite),
    ("snapshots", ["first", "count"], snapshotsSuite),
]

// Without this, the order of a dictionary would differ between processes, and a failure could not be reproduced.
if ProcessInfo.processInfo.environment["SWIFT_DETERMINISTIC_HASHING"] == nil {
    unsafe setenv("SWIFT_DETERMINISTIC_HASHING", "1", 1)
    var arguments = unsafe CommandLine.arguments.map { unsafe strdup($0) } + [nil]
    unsafe execv("/proc/self/exe", &arguments)
    unsafe execv(CommandLine.arguments[0], &arguments)
}

let arguments = CommandLine.arguments.dropFirst()
if let result = directorySuite(arguments) {
    for failure in result.failures { print("VIOLATION: \(failure)") }
    print("\(arguments[1]): \(result.summary); \(result.failures.count) violations")
    exit(result.failures.isEmpty ? 0 : 1)
}
guard let suite = suites.first(where: { $0.name == arguments.first }),
    let options = Options(arguments.dropFirst(), known: suite.options)
else {
    for suite in suites {
        print("StoreCheck \(suite.name) " + suite.options.map { "[--\($0) NUMBER]" }.joined(separator: " "))
    }
    for suite in directorySuites { print("StoreCheck \(suite.name) DIRECTORY") }
    exit(2)
}
let start = ContinuousClock.now
let result = suite.run(options)
for failure in result.failures { print("VIOLATION: \(failure)") }
let seconds = Double((ContinuousClock.now - start) / .milliseconds(1)) / 1000
print("\(suite.name): \(result.summary); \(result.failures.count) violations; \(seconds) s")
exit(result.failures.isEmpty ? 0 : 1)
