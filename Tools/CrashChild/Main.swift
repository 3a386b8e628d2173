import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore

#if canImport(Darwin)
import Darwin
#elseif canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Works on a store until the process is killed, and prints the acknowledged steps.
///
///     CrashChild DIRECTORY SEED START,START,…     a worker for each START, the last step that is done
///
/// The first line is `open VERSION`, and each step prints `WORKER STEP VERSION`. A locked store prints `locked`
/// instead.
@main struct Child {
    /// A tuning for a small log that often grows and is often compacted.
    static let tuning = LogTuning(growth: 32 << 10, compactionMinimum: 64 << 10)

    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, let seed = UInt64(arguments[2]) else { exit(2) }
        let starts = arguments[3].split(separator: ",").compactMap { Int($0) }
        let store: FileStore
        do throws(StoreError) {
            store = try FileStore(at: arguments[1], tuning: tuning)
        } catch {
            say(error.reason == .locked ? "locked" : error.description)
            exit(error.reason == .locked ? 0 : 1)
        }
        say("open \(store.capabilities.openedAt?.description ?? "")")
        try await withThrowingTaskGroup { group in
            for (worker, start) in starts.enumerated() {
                group.addTask {
                    let workload = Workload(worker: worker, seed: seed)
                    var step = start
                    while true {
                        step += 1
                        let version = try await workload.perform(step, on: store)
                        say("\(worker) \(step) \(version)")
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Writes a line with one call, so a pipe does not split the line.
    private static func say(_ text: String) {
        let line = Array((text + "\n").utf8)
        _ = unsafe write(1, line, line.count)
    }
}
