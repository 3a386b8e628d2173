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

/// Works on a store until it is killed, and says on its standard output what was acknowledged.
///
///     ReliabilityCrashChild DIRECTORY SEED START,START,…     a worker for each START, the last step that is done
///
/// `open VERSION` comes first, then `WORKER STEP VERSION` for each step. `locked` instead, when that is how it is.
@main struct Child {
    /// A log so small that it grows and is compacted all the time.
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

    /// Writes a line in one piece, which a pipe keeps whole.
    private static func say(_ text: String) {
        let line = Array((text + "\n").utf8)
        _ = unsafe write(1, line, line.count)
    }
}
