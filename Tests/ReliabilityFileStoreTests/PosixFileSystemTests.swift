import Foundation
import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import Testing

/// The store in a real directory.
@Suite("PosixFileSystem")
struct PosixFileSystemTests {
    private func withDirectory(_ body: (String) async throws -> Void) async throws {
        let path = FileManager.default.temporaryDirectory
            .appendingPathComponent("reliability-\(randomHexadecimal(bytes: 8))").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await body(path)
    }

    private func permissions(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    @Test("a store on a real disk survives a reopening")
    func reopening() async throws {
        try await withDirectory { path in
            let first = try await FileStore.open(at: path)
            #expect(first.recovery.isNew)
            let value = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
            try await first.put("a", value)
            await first.close()
            let second = try await FileStore.open(at: path + "/")
            #expect(second.recovery.wasClosed && !second.recovery.isNew)
            #expect(try await second.get(key("a"))?.value == value)
            await second.close()
        }
    }

    @Test("the directory and its files are for the owner only")
    func ownerOnly() async throws {
        try await withDirectory { path in
            let store = try await FileStore.open(at: path)
            try await store.put("a", [1])
            #expect(try permissions(path) == 0o700)
            await store.close()
            let names = try FileManager.default.contentsOfDirectory(atPath: path)
            #expect(Set(names).isSuperset(of: ["LOCK", "log-0000000000000001"]))
            for name in names { #expect(try permissions("\(path)/\(name)") == 0o600) }
        }
    }

    @Test("a directory that others may write to is rejected")
    func worldWritable() async throws {
        try await withDirectory { path in
            for mode in [0o702, 0o777, 0o2777] {
                try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
                try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
                let error = await #expect(throws: StoreError.self) { _ = try await FileStore.open(at: path) }
                #expect(error?.reason == .invalid)
                for part in [path, String(mode, radix: 8), "owner \(geteuid())", "chmod o-w"] {
                    #expect(error?.explanation.contains(part) == true)
                }
            }
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
            await (try FileStore.open(at: path)).close()
        }
    }

    @Test("a directory for a group of the process is accepted and keeps its mode")
    func groupWritable() async throws {
        try await withDirectory { path in
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            for mode in [0o770, 0o2775] {
                #expect(unsafe chown(path, geteuid(), getegid()) == 0)
                #expect(unsafe chmod(path, mode_t(mode)) == 0)
                let store = try await FileStore.open(at: path)
                try await store.put("a", [1])
                await store.close()
                #expect(try permissions(path) == mode)
                let names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
                let newest = names.filter { $0.hasPrefix("log-") }.suffix(1)
                for name in ["LOCK"] + newest { #expect(try permissions("\(path)/\(name)") == 0o600) }
                // A platform changes the modes of a volume like this before it starts the process again.
                for name in names { #expect(unsafe chmod("\(path)/\(name)", 0o660) == 0) }
            }
        }
    }

    @Test(
        "owner, group and mode decide whether a directory is accepted",
        arguments: [
            // owner, group, mode, whether the directory is accepted
            (1000, 1000, 0o700, true), (1000, 1000, 0o755, true), (1000, 1000, 0o775, true), (1000, 2000, 0o2775, true),
            (0, 2000, 0o2775, true), (0, 0, 0o755, true),
            (1000, 3000, 0o2775, false), (0, 3000, 0o775, false), (1000, 1000, 0o702, false), (0, 2000, 0o2777, false),
            (1001, 1000, 0o700, false), (1001, 1000, 0o775, false),
        ] as [(UInt32, UInt32, UInt32, Bool)]
    )
    func ownership(
        _ owner: UInt32,
        _ group: UInt32,
        _ mode: UInt32,
        _ isTaken: Bool
    ) {
        let problem = PosixFileSystem.problem(
            owner: owner,
            group: group,
            mode: 0o040000 | mode,
            user: 1000,
            groups: [1000, 2000]
        )
        #expect((problem == nil) == isTaken)
        guard let problem else { return }
        for part in ["user 1000", "owner \(owner)", "belongs to user \(owner)"] where !isTaken {
            if problem.contains(part) { return #expect(problem.contains("0" + String(mode, radix: 8))) }
        }
        Issue.record("the problem names no user: \(problem)")
    }

    @Test("an error names the directory, the call and the cause")
    func errorText() async throws {
        try await withDirectory { path in
            let missing = await #expect(throws: StoreError.self) { _ = try await FileStore.open(at: path + "/a/b") }
            let explanation = try #require(missing?.explanation)
            #expect(explanation.hasPrefix("\(path)/a/b: mkdir failed: No such file or directory (error 2"))
            #expect(explanation.contains("its parent directory must exist"))
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
            let file = await #expect(throws: StoreError.self) {
                _ = try await FileStore.open(at: path, mode: .readOnly)
            }
            #expect(file?.explanation.contains("\(path): open failed: Not a directory") == true)
        }
    }

    @Test("a reader opens a directory without write permission")
    func unwritableDirectory() async throws {
        try await withDirectory { path in
            let store = try await FileStore.open(at: path)
            try await store.put("a", [1])
            await store.close()
            let names = ["/LOCK", "/log-0000000000000001"]
            for name in names { #expect(unsafe chmod(path + name, 0o400) == 0) }
            #expect(unsafe chmod(path, 0o500) == 0)
            defer { unsafe chmod(path, 0o700) }
            func times() throws -> [Date?] {
                try ([""] + names).map {
                    try FileManager.default.attributesOfItem(atPath: path + $0)[.modificationDate] as? Date
                }
            }
            let before = try times()
            let reader = try await FileStore.open(at: path, mode: .readOnly)
            #expect(try await reader.entries() == [key("a"): [1]])
            await reader.close()
            #expect(try times() == before)
        }
    }

    @Test("a reader is rejected while an owner is open, and the error names the owner")
    func readerDuringOwner() async throws {
        try await withDirectory { path in
            let owner = try await FileStore.open(at: path)
            let error = await #expect(throws: StoreError.self) {
                _ = try await FileStore.open(at: path, mode: .readOnly)
            }
            #expect(error?.reason == .locked)
            #expect(error?.explanation.contains("\(ProcessInfo.processInfo.processIdentifier)") == true)
            await owner.close()
            let reader = try await FileStore.open(at: path, mode: .readOnly)
            let next = try await FileStore.open(at: path)
            await next.close()
            await reader.close()
        }
    }

    @Test("a missing parent, a file as directory and a link as log are rejected")
    func invalidPaths() async throws {
        try await withDirectory { path in
            #expect(await reason { _ = try await FileStore.open(at: path + "/a/b") } == .unavailable)
            #expect(await reason { _ = try await FileStore.open(at: "") } == .unavailable)
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
            #expect(await reason { _ = try await FileStore.open(at: path) } == .unavailable)
            try FileManager.default.removeItem(atPath: path)

            await (try FileStore.open(at: path)).close()
            let log = path + "/log-0000000000000001"
            try FileManager.default.moveItem(atPath: log, toPath: path + "/elsewhere")
            try FileManager.default.createSymbolicLink(atPath: log, withDestinationPath: "elsewhere")
            #expect(await reason { _ = try await FileStore.open(at: path) } == .unavailable)
        }
    }

    @Test("a directory whose name cannot be synced is rejected at every attempt")
    func undurableName() async {
        await #expect(processExitsWith: .success) {
            let parent = FileManager.default.temporaryDirectory
                .appendingPathComponent("reliability-\(randomHexadecimal(bytes: 8))").path
            try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: false)
            // The directory can be written to but not be opened. The superuser could open it and therefore changes the
            // user.
            #expect(unsafe chmod(parent, 0o333) == 0)
            let isSuperuser = geteuid() == 0
            if isSuperuser { #expect(seteuid(65_534) == 0) }
            for _ in 0..<2 {
                #expect(await reason { _ = try await FileStore.open(at: parent + "/store") } == .unavailable)
            }
            if isSuperuser { #expect(seteuid(0) == 0) }
            #expect(unsafe chmod(parent, 0o700) == 0)
            #expect(try FileManager.default.contentsOfDirectory(atPath: parent).isEmpty)
            try FileManager.default.removeItem(atPath: parent)
        }
    }

    @Test("a second owner in the process is rejected, and the error names the owner")
    func secondOwner() async throws {
        try await withDirectory { path in
            let store = try await FileStore.open(at: path)
            let error = await #expect(throws: StoreError.self) { _ = try await FileStore.open(at: path) }
            #expect(error?.reason == .locked)
            #expect(error?.explanation.contains("\(ProcessInfo.processInfo.processIdentifier)") == true)
            try await store.put("a", [1])
            await store.close()
            await (try FileStore.open(at: path)).close()
        }
    }

    @Test("a temporary file of a killed process is removed")
    func temporaryFile() async throws {
        try await withDirectory { path in
            await (try FileStore.open(at: path)).close()
            #expect(FileManager.default.createFile(atPath: path + "/log.tmp", contents: Data([1, 2, 3])))
            await (try FileStore.open(at: path)).close()
            #expect(!FileManager.default.fileExists(atPath: path + "/log.tmp"))
        }
    }

    @Test("a path with a NUL is rejected")
    func nulInPath() async throws {
        try await withDirectory { path in
            #expect(await reason { _ = try await FileStore.open(at: path + "\0/elsewhere") } == .invalid)
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    @Test("no write is acknowledged after the log was removed")
    func removedLog() async throws {
        try await withDirectory { path in
            let store = try await FileStore.open(at: path)
            try await store.put("a", [1])
            try FileManager.default.removeItem(atPath: path + "/log-0000000000000001")
            #expect(await reason { try await store.put("b", [2]) } == .unknownOutcome)
            #expect(await reason { try await store.put("c", [3]) } == .failed)
            await store.close()
        }
    }

    @Test("a second owner is rejected after the lock file was removed")
    func removedLockFile() async throws {
        try await withDirectory { path in
            let first = try await FileStore.open(at: path)
            try FileManager.default.removeItem(atPath: path + "/LOCK")
            #expect(await reason { _ = try await FileStore.open(at: path) } == .locked)
            try await first.put("a", [1])
            await first.close()
            let second = try await FileStore.open(at: path)
            #expect(try await second.entries() == [key("a"): [1]])
            await second.close()
        }
    }

    @Test("close releases the lock although a child process holds a copy")
    func inheritedLock() async throws {
        try await withDirectory { path in
            let files = PosixFileSystem()
            let directory = try files.openDirectory(path)
            try files.lock(directory)
            // A forked process has such a copy until it runs another program.
            let copy = OpenFile(rawValue: dup(directory.rawValue))
            files.close(directory)
            let again = try files.openDirectory(path)
            try files.lock(again)
            for file in [again, copy] { files.close(file) }
        }
    }

    @Test("a lack of descriptors rejects writes and leaves the store open")
    func noDescriptor() async {
        await #expect(processExitsWith: .success) {
            let path = FileManager.default.temporaryDirectory
                .appendingPathComponent("reliability-\(randomHexadecimal(bytes: 8))").path
            let store = try FileStore(at: path, tuning: LogTuning(growth: 4096, compactionMinimum: 8192))
            func limit(_ descriptors: rlim_t) {
                #if os(Linux)
                let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
                #else
                let resource = RLIMIT_NOFILE
                #endif
                var limit = rlimit()
                #expect(unsafe getrlimit(resource, &limit) == 0)
                limit.rlim_cur = descriptors
                #expect(unsafe setrlimit(resource, &limit) == 0)
            }
            limit(3)
            var rejection: StoreError?
            for round in 0..<100 where rejection == nil {
                do { try await store.put("a", [UInt8(round)]) } catch { rejection = error as? StoreError }
            }
            #expect(rejection?.reason == .unavailable)
            #expect(rejection?.explanation.contains("failed: Too many open") == true)
            limit(256)
            for round in 100..<200 { try await store.put("a", [UInt8(round)]) }
            await store.close()
            let second = try await FileStore.open(at: path)
            #expect(try await second.get(key("a"))?.value == [199])
            await second.close()
            try FileManager.default.removeItem(atPath: path)
        }
    }

    #if os(Linux)
    @Test("a file size limit is a full disk and does not end the process")
    func fileSizeLimit() async {
        await #expect(processExitsWith: .success) {
            let path = FileManager.default.temporaryDirectory
                .appendingPathComponent("reliability-\(randomHexadecimal(bytes: 8))").path
            func limit(_ bytes: rlim_t?) -> Bool {
                let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
                var limit = rlimit()
                guard unsafe getrlimit(resource, &limit) == 0 else { return false }
                limit.rlim_cur = bytes ?? limit.rlim_max
                return unsafe setrlimit(resource, &limit) == 0
            }
            #expect(limit(3 << 19))
            // A thread that a program starts itself receives the signal. The threads of tasks block most signals.
            var signals = sigset_t()
            unsafe sigemptyset(&signals)
            unsafe sigaddset(&signals, SIGXFSZ)
            unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
            let store = try await FileStore.open(at: path)
            let value = [UInt8](repeating: 1, count: 1 << 20)
            try await store.put("small", [1])
            // A segment for this value is larger than a file may be.
            let writes = ["a", "b"].map { StoreWrite.put(key($0), value, .never, if: .any) }
            #expect(await reason { _ = try await store.commit(writes) } == .diskFull)
            #expect(try await store.entries().count == 1)
            #expect(limit(nil))
            _ = try await store.commit(writes)
            await store.close()
            let second = try await FileStore.open(at: path)
            #expect(try await second.entries().count == 3)
            await second.close()
            try FileManager.default.removeItem(atPath: path)
        }
    }

    @Test("a directory that cannot be synced is reported")
    func unsyncableDirectory() throws {
        let files = PosixFileSystem()
        let directory = try files.openDirectoryToRead("/proc/self")
        defer { files.close(directory) }
        let error = #expect(throws: FileSystemError.self) { try files.syncDirectory(directory) }
        #expect(
            error?.explanation
                == "fsync of the directory failed: Invalid argument (error 22); "
                + "this file system cannot sync directories; move the store to another file system"
        )
    }

    @Test("a parent that cannot be synced is accepted for an existing directory")
    func unsyncableParent() async throws {
        try await withDirectory { path in
            let files = PosixFileSystem()
            let directory = try files.openDirectory(path)
            defer { files.close(directory) }
            let store = try await FileStore.open(at: "/proc/self/fd/\(directory.rawValue)")
            try await store.put("a", [1])
            await store.close()
        }
    }
    #endif

    @Test("many tasks commit to a real disk")
    func manyTasks() async throws {
        try await withDirectory { path in
            let store = try await FileStore.open(at: path)
            try await withThrowingTaskGroup { group in
                for task in 0..<64 {
                    group.addTask {
                        for round in 0..<20 { try await store.put("\(task)", [UInt8(task), UInt8(round)]) }
                    }
                }
                try await group.waitForAll()
            }
            await store.close()
            let second = try await FileStore.open(at: path)
            for task in 0..<64 { #expect(try await second.get(key("\(task)"))?.value == [UInt8(task), 19]) }
            await second.close()
        }
    }
}
