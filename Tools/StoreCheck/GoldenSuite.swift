import CheckSupport
import Foundation
import ReliabilityFileStore
import ReliabilityStore
import StoreSimulation

/// Uses a store in a new directory in the same way each time.
///
/// With the trace of such a run (`strace -f`), the suite runs on the simulated file system and compares. The trace must
/// have exactly the system calls of the simulated calls. `.ci/trace` does both.
func goldenSuite(_ directory: String, _ trace: String?) async throws -> SuiteResult {
    guard let trace else {
        try goldenWorkload(directory, PosixFileSystem())
        return SuiteResult(summary: "the workload ran")
    }
    let simulated = SimulatedFileSystem()
    simulated.recordsCalls = true
    try goldenWorkload("store", simulated)
    let expected = systemCalls(for: simulated.calls)
    let found = TraceReader.calls(try String(contentsOfFile: trace, encoding: .utf8), directory)
    let summary =
        "\(simulated.calls.count) simulated calls stand for \(expected.count) system calls, \(found.count) traced"
    let same = zip(expected, found).prefix { $0 == $1 }.count
    if same == expected.count, same == found.count { return SuiteResult(summary: summary) }
    func excerpt(_ calls: [String]) -> String {
        calls.dropFirst(max(0, same - 3)).prefix(8).joined(separator: "\n    ")
    }
    return SuiteResult(
        summary: summary,
        failures: ["call \(same + 1) differs; simulated:\n    \(excerpt(expected))\n  traced:\n    \(excerpt(found))"]
    )
}

private func goldenWorkload(_ directory: String, _ fileSystem: any FileSystem) throws {
    let first = try GoldenStore(directory, fileSystem)
    // A second owner is rejected.
    do throws(StoreError) {
        _ = try GoldenStore(directory, fileSystem)
        throw StoreError(.invalid, "a second owner opened the store")
    } catch {
        guard error.reason == .locked else { throw error }
    }
    for number in 0..<24 { first.put("a\(number % 3)", 700) }
    first.call(.enqueue([NewRecord(queue: "q", id: "1", payload: [1])]))
    first.call(.claim("q", limit: 1, lease: .seconds(60)))
    first.call(.commit([.delete(StoreKey("golden", "a0"), if: .present)], []))
    first.close()
    let second = try GoldenStore(directory, fileSystem)
    second.put("b", 100_000)
    second.put("c", 1)
    second.close()
}

/// The file store without its threads, so that the order of its calls to the file system is always the same.
private final class GoldenStore {
    private var stateMachine: LogStateMachine
    private var writer: LogWriter
    private var maintenance: MaintenanceWriter
    private let now: Int64

    init(_ directory: String, _ fileSystem: any FileSystem) throws(StoreError) {
        // The tuning is small, so segments follow each other and the log is compacted.
        let recovery = try LogRecovery(
            at: directory,
            configuration: .standard,
            fileSystem: fileSystem,
            unixTime: 1_780_000_000_000_000_000,
            tuning: LogTuning(growth: 4096, batchLimit: 1 << 20, compactionMinimum: 8192)
        )
        stateMachine = recovery.stateMachine
        writer = recovery.writer
        maintenance = recovery.maintenance
        now = recovery.start
    }

    func put(_ name: String, _ count: Int) {
        let value = [UInt8](repeating: 7, count: count)
        call(.commit([.put(StoreKey("golden", name), value, .never, if: .any)], []))
    }

    /// Makes a call and executes all steps.
    func call(_ operation: WorkloadOperation) {
        while true {
            if case .answer = submit(operation, to: &stateMachine, now: now) { break }
            step(hasWaiting: true)
        }
        while step(hasWaiting: false) {}
    }

    @discardableResult
    private func step(hasWaiting: Bool) -> Bool {
        let step = stateMachine.nextStep(hasWaiting: hasWaiting)
        switch step {
        case .stop: return false
        case .wait:
            let maintenanceStep = stateMachine.nextMaintenanceStep(now: now, hasWaiting: hasWaiting)
            if case .wait = maintenanceStep { return stateMachine.hasPendingCheckpoint }
            stateMachine.completed(maintenanceStep, maintenance.perform(maintenanceStep))
        case .flush, .roll, .install, .seal:
            stateMachine.completed(step, writer.perform(step))
        }
        return true
    }

    func close() {
        stateMachine.close(now: now)
        while step(hasWaiting: false) {}
        writer.release()
    }
}

/// The Linux system calls of the calls to the file system.
///
/// A second formulation of `PosixFileSystem`, with names in place of descriptors and with flags in alphabetical order.
private func systemCalls(for calls: [SimulatedFileSystem.Call]) -> [String] {
    var lines: [String] = []
    var names: Set<String> = []
    var isThere = false
    /// The open directories, each with whether it holds the lock.
    var directories: [Bool] = []
    for call in calls {
        let name = call.name.isEmpty ? "DIRECTORY" : call.name
        switch call.kind {
        case .openDirectory:
            lines.append("mkdir DIRECTORY 0700" + (isThere ? " EEXIST" : ""))
            lines.append("open DIRECTORY O_CLOEXEC|O_DIRECTORY|O_RDONLY")
            if !isThere { lines.append("fchmod DIRECTORY 0700") }
            lines.append("fstat DIRECTORY")
            lines.append("open PARENT O_CLOEXEC|O_DIRECTORY|O_RDONLY")
            lines += ["fsync PARENT", "flock PARENT LOCK_UN", "close PARENT"]
            isThere = true
            directories.append(false)
        case .lock:
            let isFree = !directories.contains(true)
            lines.append("flock DIRECTORY LOCK_EX|LOCK_NB" + (isFree ? "" : " EAGAIN"))
            if isFree { directories[directories.count - 1] = true }
        case .openOrCreate:
            lines.append("open \(name) O_CLOEXEC|O_CREAT|O_NOFOLLOW|O_NONBLOCK|O_RDWR 0600")
            lines += ["fstat \(name)", "fchmod \(name) 0600"]
            names.insert(name)
        case .create:
            lines.append("open \(name) O_CLOEXEC|O_CREAT|O_EXCL|O_NOFOLLOW|O_RDWR 0600")
            lines.append("fchmod \(name) 0600")
            names.insert(name)
        case .open:
            let isThere = names.contains(name)
            lines.append("open \(name) O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK|O_RDONLY" + (isThere ? "" : " ENOENT"))
            if isThere { lines.append("fstat \(name)") }
        case .close:
            lines += ["flock \(name) LOCK_UN", "close \(name)"]
            if call.name.isEmpty { directories.removeLast() }
        case .size: lines.append("fstat \(name)")
        case .read: lines.append("pread64 \(name) \(call.count) \(call.offset)")
        case .write: lines.append("pwrite64 \(name) \(call.count) \(call.offset)")
        case .sync: lines += ["fdatasync \(name)", "fstat \(name)"]
        case .names:
            lines += ["open DIRECTORY O_CLOEXEC|O_DIRECTORY|O_RDONLY", "fstat DIRECTORY"]
            lines += ["fcntl DIRECTORY F_GETFL", "fcntl DIRECTORY F_SETFD"]
            lines += ["getdents64 DIRECTORY", "getdents64 DIRECTORY", "close DIRECTORY"]
        case .unlink:
            lines.append("unlinkat \(name)" + (names.remove(name) == nil ? " ENOENT" : ""))
        case .syncDirectory: lines.append("fsync DIRECTORY")
        }
    }
    return lines
}
