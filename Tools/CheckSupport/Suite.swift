import Foundation
import Synchronization

/// What a suite found.
package struct SuiteResult: Sendable {
    /// What it counted, in words.
    package var summary: String
    /// Each with the command that shows it again.
    package var failures: [String]

    /// Creates a result.
    package init(summary: String, failures: [String] = []) {
        self.summary = summary
        self.failures = failures
    }
}

/// Runs `body` once on each processor, over a share of the work that follows from its number.
///
/// - Parameter body: Takes the number of the share, and how many shares there are.
/// - Returns: What the shares returned, in their order.
package func onAllProcessors<Result: Sendable>(_ body: @Sendable (_ share: Int, _ shares: Int) -> Result) -> [Result] {
    let shares = max(1, ProcessInfo.processInfo.activeProcessorCount)
    let results = Mutex<[Int: Result]>([:])
    DispatchQueue.concurrentPerform(iterations: shares) { share in
        let result = body(share, shares)
        results.withLock { $0[share] = result }
    }
    return results.withLock { results in (0..<shares).compactMap { results[$0] } }
}

/// Reports a violation and ends the process after 20 seconds, if the suite has not ended before.
///
/// Code with a mistake may run forever in another share of the work.
package func endSoon(after violation: String) {
    Thread.detachNewThread {
        Thread.sleep(forTimeInterval: 20)
        print("VIOLATION: \(violation)")
        exit(1)
    }
}
