import Foundation
import Synchronization

/// What a suite found.
struct SuiteResult: Sendable {
    /// What it counted, in words.
    var summary: String
    /// Each with the command that shows it again.
    var failures: [String] = []
}

/// Runs `body` once on each processor, over a share of the work that follows from its number.
///
/// - Parameter body: Takes the number of the share, and how many shares there are.
/// - Returns: What the shares returned, in their order.
func onAllProcessors<Result: Sendable>(_ body: @Sendable (_ share: Int, _ shares: Int) -> Result) -> [Result] {
    let shares = max(1, ProcessInfo.processInfo.activeProcessorCount)
    let results = Mutex<[Int: Result]>([:])
    DispatchQueue.concurrentPerform(iterations: shares) { share in
        let result = body(share, shares)
        results.withLock { $0[share] = result }
    }
    return results.withLock { results in (0..<shares).compactMap { results[$0] } }
}
