import Foundation
import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityTesting
import StoreSimulation
import TestSupport
import Testing

/// Snapshots and requested compactions of stores in use.
@Suite("FileStore snapshots", .timeLimit(.minutes(30)))
struct FileStoreSnapshotTests {
    private func withDirectory(_ body: (String) async throws -> Void) async throws {
        let path = FileManager.default.temporaryDirectory
            .appendingPathComponent("reliability-\(randomHexadecimal(bytes: 8))").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await body(path)
    }

    private func open(_ path: String) throws(StoreError) -> FileStore {
        try FileStore(at: path, tuning: LogTuning(growth: 4096, compactionMinimum: 16384))
    }

    @Test("a crash or an error at any call leaves a whole copy or none", arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func sweep(seed: UInt64) throws {
        var sweep = SnapshotSweep(seed)
        try sweep.run()
        #expect(sweep.counts.crashes > 100 && sweep.counts.whole > 0 && sweep.counts.faults > 100)
    }

    @Test("a copy has every write before the call, and opens with its own future")
    func copy() async throws {
        try await withDirectory { path in
            let store = try open(path + "/store")
            let value = [UInt8](repeating: 7, count: 1000)
            for number in 0..<40 { try await store.put("k\(number)", value + [UInt8(number)]) }
            _ = try await store.enqueue([NewRecord(queue: "q", id: "1", payload: [1])])
            // Writers continue during the snapshot.
            let writer = Task {
                for number in 0..<40 { try await store.put("k\(number)", value) }
            }
            try await store.snapshot(to: path + "/copy")
            try await writer.value
            let before = try await store.get(key("k0"))
            let copy = try open(path + "/copy")
            #expect(copy.recovery.wasClosed && !copy.recovery.isNew)
            #expect(try await copy.entries().count == 40)
            #expect(try await copy.counts("q").pending == 1)
            try await copy.put("k0", [1])
            #expect(try await store.get(key("k0")) == before)
            await copy.close()
            await store.close()
        }
    }

    @Test("a directory with files, the store's own directory and a directory inside of it are rejected")
    func directories() async throws {
        try await withDirectory { path in
            let store = try open(path + "/store")
            try await store.snapshot(to: path + "/copy")
            #expect(await reason { try await store.snapshot(to: path + "/copy") } == .invalid)
            #expect(await reason { try await store.snapshot(to: path + "/store/") } == .locked)
            #expect(await reason { try await store.snapshot(to: path + "/store/copy") } == .invalid)
            #expect(await reason { try await store.snapshot(to: path + "/missing/copy") } == .unavailable)
            #expect(!FileManager.default.fileExists(atPath: path + "/store/copy"))
            try FileManager.default.createDirectory(atPath: path + "/files", withIntermediateDirectories: false)
            try Data([1]).write(to: URL(fileURLWithPath: path + "/files/photo"))
            #expect(await reason { try await store.snapshot(to: path + "/files") } == .invalid)
            #expect(try FileManager.default.contentsOfDirectory(atPath: path + "/files") == ["photo"])
            try FileManager.default.createDirectory(atPath: path + "/empty", withIntermediateDirectories: false)
            try await store.snapshot(to: path + "/empty")
            await store.close()
            #expect(await reason { try await store.snapshot(to: path + "/late") } == .closed)
        }
    }

    @Test("snapshots can overlap")
    func overlapping() async throws {
        try await withDirectory { path in
            let store = try open(path + "/store")
            for number in 0..<20 { try await store.put("k\(number)", [UInt8](repeating: 1, count: 2000)) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<3 {
                    group.addTask { try await store.snapshot(to: path + "/copy\(number)") }
                }
                try await group.waitForAll()
            }
            for number in 0..<3 {
                let copy = try FileStore(at: path + "/copy\(number)", mode: .readOnly)
                #expect(try await copy.entries().count == 20)
            }
            await store.close()
        }
    }

    /// Opens a store with a checkpoint file and begins a snapshot, which waits while `body` runs.
    private func duringSnapshot(
        _ body: (FileStore, Task<StoreError.Reason?, Never>, _ proceed: () -> Void, _ path: String) async throws -> Void
    ) async throws {
        try await withDirectory { path in
            let files = GatedFileSystem(except: path + "/store")
            let tuning = LogTuning(growth: 4096, compactionMinimum: 1 << 30)
            let store = try FileStore(at: path + "/store", fileSystem: files, tuning: tuning)
            try await store.put("a", [1])
            try await store.compact()
            try await store.put("b", [2])
            let snapshot = startTask { await reason { try await store.snapshot(to: path + "/copy") } }
            await files.reached.pass()
            try await body(store, snapshot, files.open, path)
            files.open()
            await store.close()
        }
    }

    @Test("writes continue during a snapshot, and the files of a compaction are removed after the snapshot")
    func concurrentCompaction() async throws {
        try await duringSnapshot { store, snapshot, proceed, path in
            try await store.put("c", [3])
            let before = try FileManager.default.contentsOfDirectory(atPath: path + "/store")
            let compaction = startTask { await reason { try await store.compact() } }
            let needed = before.filter { $0.hasPrefix("checkpoint-") || $0.hasPrefix("log-") }
            // The writes make the compaction advance.
            for number in 0..<20 { try await store.put("d", [UInt8(number)]) }
            let during = try FileManager.default.contentsOfDirectory(atPath: path + "/store")
            #expect(needed.allSatisfy(during.contains))
            proceed()
            #expect(await snapshot.value == nil)
            #expect(await compaction.value == nil)
            let after = try FileManager.default.contentsOfDirectory(atPath: path + "/store")
            #expect(!needed.allSatisfy(after.contains))
            let copy = try FileStore(at: path + "/copy", mode: .readOnly)
            #expect(try await copy.entries() == [key("a"): [1], key("b"): [2]])
        }
    }

    @Test("a cancelled snapshot leaves an empty directory")
    func cancellation() async throws {
        try await duringSnapshot { store, snapshot, proceed, path in
            snapshot.cancel()
            proceed()
            #expect(await snapshot.value == .cancelled)
            #expect(try FileManager.default.contentsOfDirectory(atPath: path + "/copy").isEmpty)
            try await store.put("c", [3])
        }
    }

    @Test("a close ends a snapshot and waits for its end")
    func close() async throws {
        try await duringSnapshot { store, snapshot, proceed, path in
            let closing = startTask { await store.close() }
            while await reason({ _ = try await store.get(key("a")) }) != .closed { await Task.yield() }
            let compaction = await reason { try await store.compact() }
            #expect(compaction == .closed)
            proceed()
            #expect(await snapshot.value == .closed)
            await closing.value
            #expect(try FileManager.default.contentsOfDirectory(atPath: path + "/copy").isEmpty)
            let second = try open(path + "/store")
            #expect(second.recovery.wasClosed)
            #expect(try await second.entries().count == 2)
            await second.close()
        }
    }

    @Test("a cancelled call does not wait for the compaction")
    func cancelledCompaction() async throws {
        try await duringSnapshot { store, _, _, _ in
            let compaction = startTask { await reason { try await store.compact() } }
            compaction.cancel()
            #expect(await compaction.value == .cancelled)
        }
    }

    @Test("a store that was opened for reading can be copied")
    func readOnly() async throws {
        try await withDirectory { path in
            let store = try open(path + "/store")
            for number in 0..<300 { try await store.put("k\(number)", [UInt8(truncatingIfNeeded: number)]) }
            _ = try await store.enqueue([NewRecord(queue: "q", id: "1", payload: [1])])
            await store.close()
            let reader = try FileStore(at: path + "/store", mode: .readOnly)
            try await reader.snapshot(to: path + "/copy")
            #expect(await reason { try await reader.snapshot(to: path + "/store") } == .invalid)
            #expect(await reason { try await reader.compact() } == .readOnly)
            let entries = try await reader.entries()
            await reader.close()
            #expect(await reason { try await reader.snapshot(to: path + "/late") } == .closed)
            let copy = try open(path + "/copy")
            #expect(try await copy.entries() == entries && entries.count == 300)
            #expect(try await copy.counts("q").pending == 1)
            await copy.close()
        }
    }

    @Test("a damaged file of the store fails the snapshot and not the store")
    func damage() async throws {
        try await withDirectory { path in
            let store = try open(path + "/store")
            for number in 0..<20 { try await store.put("k\(number)", [UInt8](repeating: 1, count: 2000)) }
            try await store.compact()
            let names = try FileManager.default.contentsOfDirectory(atPath: path + "/store")
            let name = try #require(names.first { $0.hasPrefix("checkpoint-") })
            let file = try FileHandle(forUpdating: URL(fileURLWithPath: "\(path)/store/\(name)"))
            try file.seek(toOffset: 1000)
            try file.write(contentsOf: Data([99]))
            try file.close()
            let outcome = await reason { try await store.snapshot(to: path + "/copy") }
            guard case .corruption(name, 512) = outcome else {
                Issue.record("the snapshot ended with \(String(describing: outcome))")
                return
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: path + "/copy").isEmpty)
            #expect(try await store.entries().count == 20)
            await store.close()
        }
    }

    @Test("a requested compaction frees the space of removed content before the call returns")
    func compaction() async throws {
        let files = MemoryFileSystem()
        let tuning = LogTuning(growth: 4096, compactionMinimum: 1 << 30)
        let store = try openStore(files, tuning: tuning)
        for number in 0..<20 { try await store.put("k\(number)", [UInt8](repeating: 1, count: 2000)) }
        try await store.compact()
        let full = files.contentSize
        for number in 0..<20 { _ = try await store.commit([.delete(key("k\(number)"), if: .any)]) }
        try await store.compact()
        #expect(files.contentSize < full - 20_000)
        try await store.compact()
        await store.close()
        #expect(await reason { try await store.compact() } == .closed)
    }

    @Test("a requested compaction fails if its checkpoints have no room in the log, and succeeds later")
    func compactionWithoutSegment() async throws {
        let files = MemoryFileSystem()
        let tuning = LogTuning(growth: 4096, compactionMinimum: 1 << 30, checkpointSize: 1024)
        let store = try openStore(files, tuning: tuning)
        // The compaction has more checkpoints than two segments have room for.
        for number in 0..<100 { try await store.put("k\(number)", [UInt8](repeating: 1, count: 1000)) }
        files.set {
            $0.createFailure = FileSystemError(.noSpace, "no space")
            $0.onlySegments = true
        }
        for _ in 0..<2 { #expect(await reason { try await store.compact() } == .diskFull) }
        #expect(store.compactionFailure?.reason == .diskFull)
        files.set { $0.createFailure = nil }
        try await store.compact()
        #expect(store.compactionFailure == nil)
        #expect(try await store.entries().count == 100)
        await store.close()
    }

    @Test("a requested compaction throws its failure")
    func failedCompaction() async throws {
        let files = MemoryFileSystem()
        let store = try openStore(files, tuning: LogTuning(growth: 4096, compactionMinimum: 1 << 30))
        try await store.put("a", [1])
        files.set {
            $0.createFailure = FileSystemError(.noSpace, "no space")
            $0.onlyCheckpoints = true
        }
        #expect(await reason { try await store.compact() } == .diskFull)
        #expect(store.compactionFailure?.reason == .diskFull)
        files.set { $0.createFailure = nil }
        try await store.compact()
        #expect(store.compactionFailure == nil)
        await store.close()
    }
}
