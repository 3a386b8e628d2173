import CheckSupport
import Foundation

/// The suites in a real directory, which follows the name of the suite: `StoreCheck golden DIRECTORY [FILE]`.
let directorySuites:
    [(name: String, run: @Sendable (_ directory: String, _ file: String?) async throws -> SuiteResult)] = [
        ("diskfull", diskFullSuite),
        ("format", formatSuite),
        ("golden", goldenSuite),
    ]

/// Runs a suite in a directory, or returns `nil` if the arguments choose another suite.
func directorySuite(_ arguments: some Collection<String>) -> SuiteResult? {
    let arguments = Array(arguments)
    guard let suite = directorySuites.first(where: { $0.name == arguments.first }), (2...3).contains(arguments.count)
    else { return nil }
    return waiting {
        do {
            return try await suite.run(arguments[1], arguments.count == 3 ? arguments[2] : nil)
        } catch {
            return SuiteResult(summary: "ended early", failures: ["\(error)"])
        }
    }
}

/// Runs a task and blocks the thread until the task ends.
private func waiting<Result: Sendable>(_ body: @escaping @Sendable () async -> Result) -> Result {
    let semaphore = DispatchSemaphore(value: 0)
    let box = Box<Result>()
    Task {
        box.value = await body()
        semaphore.signal()
    }
    semaphore.wait()
    guard let value = box.value else { preconditionFailure("the task ended without a result") }
    return value
}

private final class Box<Value>: @unchecked Sendable {
    // @unchecked Sendable: written before the semaphore is signalled and read afterwards.
    var value: Value?
}
