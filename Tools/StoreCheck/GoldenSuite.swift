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
        try await goldenWorkload(directory, PosixFileSystem())
        return SuiteResult(summary: "the workload ran")
    }
    let simulated = SimulatedFileSystem()
    simulated.recordsCalls = true
    try await goldenWorkload("store", simulated)
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

private func goldenWorkload(_ directory: String, _ fileSystem: any FileSystem) async throws {
    // The tuning is small, so the log is extended and compacted.
    let tuning = LogTuning(growth: 4096, batchLimit: 1 << 20, compactionMinimum: 8192)
    func open() throws(StoreError) -> FileStore {
        try FileStore(at: directory, fileSystem: fileSystem, tuning: tuning)
    }
    func put(_ name: String, _ count: Int, _ store: FileStore) async throws {
        let value = [UInt8](repeating: 7, count: count)
        _ = try await store.commit([.put(StoreKey("golden", name), value, .never, if: .any)])
    }
    let first = try open()
    // A second owner is rejected.
    do throws(StoreError) {
        _ = try open()
        throw StoreError(.invalid, "a second owner opened the store")
    } catch {
        guard error.reason == .locked else { throw error }
    }
    for number in 0..<12 { try await put("a\(number % 3)", 700, first) }
    _ = try await first.enqueue([NewRecord(queue: "q", id: "1", payload: [1])])
    _ = try await first.claim("q", limit: 1, lease: .seconds(60))
    _ = try await first.commit([.delete(StoreKey("golden", "a0"), if: .present)])
    await first.close()
    let second = try open()
    try await put("b", 100_000, second)
    // A store that is closed may rewrite its log before or not. The next write waits for the rewrite.
    try await put("c", 1, second)
    _ = try await second.get(StoreKey("golden", "b"))
    await second.close()
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
        case .rename:
            lines.append("renameat \(name) \(call.newName)")
            names.remove(name)
            names.insert(call.newName)
        case .unlink:
            lines.append("unlinkat \(name)" + (names.remove(name) == nil ? " ENOENT" : ""))
        case .syncDirectory: lines.append("fsync DIRECTORY")
        }
    }
    return lines
}
