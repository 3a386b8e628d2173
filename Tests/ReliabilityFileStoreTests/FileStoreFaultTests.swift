import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityTesting
import Testing

/// Disks that fail, fill up or lose their power.
@Suite("FileStore faults", .timeLimit(.minutes(30)))
struct FileStoreFaultTests {
    let files = MemoryFileSystem()

    /// The distance between the calls of which each has a fault.
    ///
    /// The thread sanitizer makes a test many times slower and needs fewer of them.
    private static let callStride: Int = {
        #if RELIABILITY_SANITIZE_THREAD
        15
        #else
        1
        #endif
    }()

    @Test("a failed sync is final")
    func failedSync() async throws {
        let store = try openStore(files)
        try await store.put("a", [1])
        // The sync fails once and would succeed now.
        files.set {
            $0.syncFailure = FileSystemError(.other, "bad sector")
            $0.syncFailures = 1
        }
        #expect(await reason { try await store.put("b", [2]) } == .unknownOutcome)
        #expect(await reason { try await store.put("c", [3]) } == .failed)
        #expect(await reason { _ = try await store.get(key("a")) } == .failed)
        await store.close()
        #expect(files.openCount == 0)

        let second = try openStore(files)
        #expect(try await second.get(key("a"))?.value == [1])
        #expect(!second.recovery.wasClosed)
        await second.close()
    }

    @Test("a sync that fails for lack of space is final")
    func failedSyncForSpace() async throws {
        let store = try openStore(files)
        files.set { $0.syncFailure = FileSystemError(.noSpace, "no space") }
        #expect(await reason { try await store.put("b", [2]) } == .unknownOutcome)
        #expect(await reason { try await store.put("c", [3]) } == .failed)
        await store.close()
    }

    @Test("a new segment that cannot be synced rejects the write that needs the segment and no other")
    func failedSegment() async throws {
        let store = try openStore(files)
        files.set { $0.syncFailure = FileSystemError(.other, "bad sector") }
        // The write was never planned and changed nothing.
        let value = [UInt8](repeating: 1, count: 9000)
        #expect(await reason { try await store.put("b", value) } == .unavailable)
        files.set { $0.syncFailure = nil }
        try await store.put("c", [3])
        try await store.put("b", value)
        await store.close()
        let second = try openStore(files)
        #expect(try await second.entries() == [key("b"): value, key("c"): [3]])
        await second.close()
    }

    @Test("a failed sync fails every waiting call")
    func failedSyncWaiters() async throws {
        let store = try openStore(files, tuning: LogTuning(growth: 4096, batchLimit: 64))
        files.holdSyncs()
        let first = startTask { await reason { try await store.put("a", [1]) } }
        await files.untilHeldSyncs(1)
        let reader = startTask { await reason { _ = try await store.get(key("a")) } }
        let next = startTask { await reason { try await store.put("b", [UInt8](repeating: 1, count: 100)) } }
        for _ in 0..<100 { await Task.yield() }
        let waiting = startTask { await reason { try await store.put("c", [1]) } }
        for _ in 0..<100 { await Task.yield() }
        files.set { $0.syncFailure = FileSystemError(.other, "bad sector") }
        files.releaseSyncs()
        #expect(await first.value == .unknownOutcome)
        #expect(await next.value == .unknownOutcome)
        // The read and the waiting write changed nothing.
        #expect(await reader.value == .failed)
        #expect(await waiting.value == .failed)
        await store.close()
    }

    @Test("short reads and writes are continued")
    func shortTransfers() async throws {
        files.set {
            $0.longestWrite = 100
            $0.longestRead = 7
        }
        let store = try openStore(files)
        try await store.put("a", [UInt8](repeating: 3, count: 5000))
        await store.close()
        let second = try openStore(files)
        #expect(try await second.get(key("a"))?.value == [UInt8](repeating: 3, count: 5000))
        await second.close()
    }

    @Test("a full disk rejects writes until there is space")
    func fullDisk() async throws {
        let store = try openStore(files)
        try await store.put("a", [1])
        files.set { $0.freeBytes = 0 }
        var accepted = 0
        while await reason({ try await store.put("fill \(accepted)", [2]) }) == nil { accepted += 1 }
        #expect(accepted < 20)
        #expect(await reason { try await store.put("b", [2]) } == .diskFull)
        #expect(await reason { try await store.put("c", [UInt8](repeating: 1, count: 9000)) } == .diskFull)
        #expect(try await store.entries().count == 1 + accepted)
        #expect(try await store.get(key("b")) == nil)

        files.set { $0.freeBytes = nil }
        try await store.put("b", [2])
        #expect(try await store.get(key("b"))?.value == [2])
        await store.close()
        let second = try openStore(files)
        #expect(try await second.entries().count == 2 + accepted)
        await second.close()
    }

    @Test("a store on a full disk can be closed")
    func closeOnFullDisk() async throws {
        let store = try openStore(files)
        files.set { $0.freeBytes = 0 }
        while await reason({ try await store.put("a", [2]) }) == nil {}
        await store.close()
        files.set { $0.freeBytes = nil }
        let second = try openStore(files)
        #expect(second.recovery.wasClosed)
        await second.close()
    }

    @Test("the last free space is used")
    func littleSpace() async throws {
        let store = try openStore(files, tuning: LogTuning(growth: 64 << 10))
        // The space of a segment with a single frame.
        files.set { $0.freeBytes = 6000 }
        var accepted = 0
        while await reason({ try await store.put("n", [UInt8](repeating: 1, count: 400)) }) == nil { accepted += 1 }
        // The writes fill the 64 KiB of the first segment and the small segment.
        #expect(accepted >= 128)
        await store.close()
    }

    @Test("concurrent writes on a full disk are all rejected")
    func manyWritesOnFullDisk() async throws {
        let store = try openStore(files)
        files.set { $0.freeBytes = 0 }
        let reasons = await withTaskGroup(of: StoreError.Reason?.self) { group in
            for number in 0..<100 {
                group.addTask {
                    await reason { try await store.put("\(number)", [UInt8](repeating: 1, count: 8000)) }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(reasons.allSatisfy { $0 == .diskFull })
        #expect(try await store.entries().isEmpty)
        await store.close()
    }

    @Test("a compaction without space leaves the log in use")
    func compactionWithoutSpace() async throws {
        let store = try openStore(files, tuning: LogTuning(growth: 64 << 10, compactionMinimum: 8 << 10))
        files.set {
            $0.onlyCheckpoints = true
            $0.createFailure = FileSystemError(.noSpace, "no space")
        }
        for round in 0..<60 { try await store.put("n", [UInt8(round)]) }
        while store.compactionFailure == nil { await Task.yield() }
        #expect(store.compactionFailure?.reason == .diskFull)
        await store.close()
        #expect(!files.files.keys.contains { $0.hasPrefix("checkpoint-") })
        files.set { $0.createFailure = nil }
        let second = try openStore(files)
        #expect(try await second.get(key("n"))?.value == [59])
        await second.close()
    }

    /// A checkpoint file fails at its creation or at its sync.
    @Test("a failed compaction leaves the log in use and is retried later", arguments: [true, false])
    func failedCompaction(isCreation: Bool) async throws {
        let tuning = LogTuning(growth: 4096, compactionMinimum: 4096)
        let store = try openStore(files, tuning: tuning)
        files.set {
            $0.onlyCheckpoints = true
            if isCreation {
                $0.createFailure = FileSystemError(.other, "no free descriptor")
            } else {
                $0.syncFailure = FileSystemError(.other, "bad sector")
            }
        }
        for round in 0..<60 { try await store.put("n", [UInt8(round)]) }
        while store.compactionFailure == nil { await Task.yield() }
        let failure = try #require(store.compactionFailure)
        #expect(failure.explanation.contains(isCreation ? "no free descriptor" : "bad sector"))
        #expect(!files.files.keys.contains { $0.hasPrefix("checkpoint-") })
        files.set {
            $0.createFailure = nil
            $0.syncFailure = nil
        }
        for round in 60..<120 { try await store.put("n", [UInt8(round)]) }
        while store.compactionFailure != nil || files.contentSize > 60 * 512 { await Task.yield() }
        await store.close()
        let second = try openStore(files)
        #expect(try await second.get(key("n"))?.value == [119])
        await second.close()
    }

    @Test("an opening on a full disk takes the space of the reserve")
    func openingOnFullDisk() async throws {
        let tuning = LogTuning(growth: 64 << 10)
        let store = try openStore(files, tuning: tuning)
        try await store.put("a", [1])
        while files.files["reserve"]?.count != 64 << 10 { await Task.yield() }
        await store.close()
        files.set { $0.freeBytes = 0 }
        let second = try openStore(files, tuning: tuning)
        #expect(try await second.get(key("a"))?.value == [1])
        #expect(await reason { try await second.put("b", [UInt8](repeating: 1, count: 100_000)) } == .diskFull)
        await second.close()
        files.set { $0.freeBytes = nil }
        let third = try openStore(files, tuning: tuning)
        try await third.put("b", [UInt8](repeating: 1, count: 100_000))
        await third.close()
    }

    @Test("an opening on a full disk without the reserve fails and loses nothing")
    func openingWithoutReserve() async throws {
        let store = try openStore(files)
        try await store.put("a", [1])
        await store.close()
        let image = files.files.filter { $0.key != "reserve" }
        let full = MemoryFileSystem(image)
        full.set { $0.freeBytes = 0 }
        #expect(await reason { _ = try openStore(full) } == .diskFull)
        #expect(full.files[full.log] == image[files.log])
        #expect(full.openCount == 0)
        full.set { $0.freeBytes = nil }
        let second = try openStore(full)
        #expect(try await second.get(key("a"))?.value == [1])
        await second.close()
    }

    // MARK: Loss of power

    /// Writes until the disk fails, and returns the last acknowledged and the last attempted step.
    private func work(on files: MemoryFileSystem) async -> (acknowledged: Int, attempted: Int)? {
        guard let store = try? openStore(files, tuning: LogTuning(growth: 1024, compactionMinimum: 3000)) else {
            return nil
        }
        var acknowledged = 0
        var attempted = 0
        for step in 1...14 {
            attempted = step
            // Each commit has two keys of one to four sectors. Every third commit has a record.
            let value = [UInt8(step)] + [UInt8](repeating: UInt8(step), count: step % 4 * 400)
            let writes = [StoreWrite.put(key("a"), value, .never, if: .any), .put(key("b"), value, .never, if: .any)]
            let records = step % 3 == 0 ? [NewRecord(queue: "q", id: "\(step)", payload: [UInt8(step)])] : []
            if await reason({ _ = try await store.commit(writes, enqueueing: records) }) != nil { break }
            acknowledged = step
        }
        await store.close()
        return (acknowledged, attempted)
    }

    private func check(
        _ image: [String: [UInt8]],
        _ done: (acknowledged: Int, attempted: Int),
        _ label: String
    ) async throws {
        let store = try openStore(MemoryFileSystem(image))
        let entries = try await store.entries()
        let step = Int(entries[key("a")]?.first ?? 0)
        #expect(entries[key("a")] == entries[key("b")], "\(label): a torn commit")
        #expect(step >= done.acknowledged && step <= done.attempted, "\(label): \(step) of \(done)")
        #expect(entries[key("a")]?.count ?? 1 == 1 + step % 4 * 400, "\(label)")
        #expect(try await store.counts("q").pending == step / 3, "\(label): records")
        await store.close()
    }

    @Test("a loss of power at any call keeps every acknowledged write")
    func powerLoss() async throws {
        let whole = MemoryFileSystem()
        _ = await work(on: whole)
        let calls = whole.calls
        #expect(calls > 60)
        var generator = SeededGenerator(seed: 11)
        for call in stride(from: 1, through: calls, by: Self.callStride) {
            let files = MemoryFileSystem()
            files.set { $0.failFromCall = call }
            let done = await work(on: files) ?? (0, 0)
            try await check(files.syncedFiles, done, "all lost, call \(call)")
            try await check(files.files, done, "all kept, call \(call)")
            for round in 0..<4 {
                try await check(files.tornFiles(using: &generator), done, "torn \(round), call \(call)")
            }
        }
    }

    @Test("a loss of power during an opening keeps every acknowledged write")
    func powerLossWhileOpening() async throws {
        let files = MemoryFileSystem()
        files.set { $0.failFromCall = 45 }
        let done = try #require(await work(on: files))
        var generator = SeededGenerator(seed: 12)
        for image in [files.syncedFiles, files.files] {
            let whole = MemoryFileSystem(image)
            await (try openStore(whole)).close()
            for call in 1...whole.calls {
                let again = MemoryFileSystem(image)
                again.set { $0.failFromCall = call }
                if let store = try? openStore(again) { await store.close() }
                try await check(again.syncedFiles, done, "all lost, call \(call)")
                try await check(again.files, done, "all kept, call \(call)")
                try await check(again.tornFiles(using: &generator), done, "torn, call \(call)")
            }
        }
    }

    @Test(
        "an error at any call leaks no file, hangs no caller and keeps every acknowledged write",
        arguments: [FileSystemError.Kind.other, .noSpace, .notFound],
        [false, true]
    )
    func anyError(
        _ kind: FileSystemError.Kind,
        _ isLate: Bool
    ) async throws {
        let tuning = LogTuning(growth: 1024, batchLimit: 1024, compactionMinimum: 4096)
        var call = 0
        while true {
            call += Self.callStride
            let disk = MemoryFileSystem()
            let before = try openStore(disk, tuning: tuning)
            try await before.put("before", [7])
            await before.close()

            let files = FaultyFileSystem(disk, .init(call: call, kind: kind, isLate: isLate))
            var acknowledged: [String: UInt8] = ["before": 7]
            if let store = try? FileStore(
                at: "store",
                clock: ManualClock(),
                fileSystem: files,
                unixTime: someday,
                tuning: tuning
            ) {
                for round in UInt8(0)..<6 {
                    await withTaskGroup(of: (String, UInt8)?.self) { group in
                        for task in 0..<4 {
                            group.addTask {
                                let value = [round] + [UInt8](repeating: 1, count: 300)
                                return (try? await store.put("\(task)", value)).map { _ in ("\(task)", round) }
                            }
                        }
                        for await put in group { if let put { acknowledged[put.0] = put.1 } }
                    }
                }
                await store.close()
            }
            #expect(files.openCount == 0 && !files.closedTwice, "fault at call \(call)")

            let after = try openStore(disk, tuning: tuning)
            let entries = try await after.entries()
            for (name, value) in acknowledged {
                #expect(entries[key(name)].map { $0[0] >= value } == true, "\(name), fault at call \(call)")
            }
            await after.close()
            if files.calls < call { break }
        }
        #expect(call > 60)
    }
}
