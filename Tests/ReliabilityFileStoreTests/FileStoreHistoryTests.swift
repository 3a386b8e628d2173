import Foundation
import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import StoreSimulation
import Testing

/// Concurrent tasks use a store, and one order of their calls explains all answers.
///
/// `RELIABILITY_HISTORIES` is the number of runs. `RELIABILITY_SEED` is the first seed.
@Suite("FileStore histories")
struct FileStoreHistoryTests {
    private static let count: UInt64 = {
        #if RELIABILITY_SANITIZE_THREAD
        let enough: UInt64 = 60
        #else
        // `StoreCheck histories` makes more histories faster.
        let enough: UInt64 = 100
        #endif
        return ProcessInfo.processInfo.environment["RELIABILITY_HISTORIES"].flatMap { UInt64($0) } ?? enough
    }()

    // A history takes a quarter of a second under the thread sanitizer on one processor, and ten times as long on a busy
    // machine.
    @Test("concurrent calls of several clients are linearizable", .timeLimit(.minutes(20 + count / 25)))
    func linearizable() async {
        let count = Self.count
        let first = ProcessInfo.processInfo.environment["RELIABILITY_SEED"].flatMap { UInt64($0) } ?? 0
        // Two simultaneous runs keep the machine busy.
        await withTaskGroup { group in
            for half in 0..<UInt64(2) {
                group.addTask {
                    for seed in stride(from: first + half, to: first + count, by: 2) {
                        guard let problem = await HistoryRun(seed: seed).result().problem else { continue }
                        Issue.record(
                            """
                            \(problem)
                            again, though not with the same timing:
                            RELIABILITY_HISTORIES=100 RELIABILITY_SEED=\(seed) swift test --filter FileStoreHistoryTests
                            """
                        )
                        return
                    }
                }
            }
        }
    }
}
