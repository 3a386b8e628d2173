import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityTesting
import Testing

/// The order of answers and syncs.
@Suite("FileStore durability", .timeLimit(.minutes(30)))
struct FileStoreDurabilityTests {
    let files = MemoryFileSystem()

    /// Runs an operation and checks that the operation does not end before the held sync.
    private func expectWaits<Success: Sendable>(
        _ operation: @escaping @Sendable () async throws -> Success
    ) async throws -> Success {
        let isDone = Lock(false)
        let task = startTask { () -> Result<Success, any Error> in
            do {
                let success = try await operation()
                isDone.withLock { $0 = true }
                return .success(success)
            } catch { return .failure(error) }
        }
        for _ in 0..<200 { await Task.yield() }
        #expect(!isDone.withLock { $0 })
        files.releaseSyncs()
        return try await task.value.get()
    }

    /// Runs `body` with a store that has a write with a held sync.
    private func withPendingWrite(
        _ write: @escaping @Sendable (FileStore) async throws -> Void,
        _ body: (FileStore) async throws -> Void
    ) async throws {
        let store = try openStore(files)
        try await store.put("old", [1])
        _ = try await store.enqueue([NewRecord(queue: "old", id: "1", payload: [])])
        files.holdSyncs()
        let task = startTask { () -> (any Error)? in
            do { try await write(store) } catch { return error }
            return nil
        }
        await files.untilHeldSyncs(1)
        try await body(store)
        files.releaseSyncs()
        #expect(await task.value == nil)
        await store.close()
    }

    @Test("a write waits for its sync")
    func writeWaits() async throws {
        let store = try openStore(files)
        files.holdSyncs()
        _ = try await expectWaits { try await store.put("a", [1]) }
        #expect(files.syncedFiles[files.log] == files.files[files.log])
        await store.close()
    }

    @Test("a read waits until the entry that it shows is durable")
    func readWaits() async throws {
        try await withPendingWrite {
            try await $0.put("a", [1])
        } _: { store async throws in
            #expect(try await expectWaits { try await store.get(key("a")) }?.value == [1])
        }
    }

    @Test("a read of a deletion waits until the deletion is durable")
    func deletionWaits() async throws {
        try await withPendingWrite {
            _ = try await $0.commit([.delete(key("old"), if: .any)])
        } _: { store async throws in
            #expect(try await expectWaits { try await store.get(key("old")) } == nil)
        }
    }

    @Test("an unrelated read does not wait")
    func unrelatedRead() async throws {
        try await withPendingWrite {
            try await $0.put("a", [1])
        } _: { store async throws in
            #expect(try await store.get(key("old"))?.value == [1])
            #expect(try await store.counts("old").pending == 1)
            #expect(try await store.commit([.check(key("old"), .present)]) != .committed([]))
        }
    }

    @Test("a conflict waits until the entry that it shows is durable")
    func conflictWaits() async throws {
        try await withPendingWrite {
            try await $0.put("a", [1])
        } _: { store async throws in
            let result = try await expectWaits { try await store.commit([.put(key("a"), [2], .never, if: .absent)]) }
            guard case .conflict(0, let current) = result else { return #expect(Bool(false)) }
            #expect(current?.value == [1])
        }
    }

    @Test("a denied update waits until the value that it shows is durable")
    func deniedUpdateWaits() async throws {
        let add = AtomicUpdate.add(1, within: 0...1, expiry: .seconds(60))
        try await withPendingWrite {
            _ = try await $0.update([(key("n"), add)])
        } _: { store async throws in
            #expect(try await expectWaits { try await store.update([(key("n"), add)]) }.isApplied == false)
        }
    }

    @Test("a scan waits for every pending write")
    func scanWaits() async throws {
        try await withPendingWrite {
            try await $0.put("a", [1])
        } _: { store async throws in
            #expect(try await expectWaits { try await store.entries() }.count == 2)
        }
    }

    @Test("a duplicate waits until the first record is durable")
    func duplicateWaits() async throws {
        let record = NewRecord(queue: "q", id: "1", payload: [])
        try await withPendingWrite {
            _ = try await $0.enqueue([record])
        } _: { store async throws in
            #expect(try await expectWaits { try await store.enqueue([record]) } == [.duplicate])
        }
    }

    @Test("an empty claim waits until the earlier claim is durable")
    func emptyClaimWaits() async throws {
        try await withPendingWrite {
            _ = try await $0.claim("old", limit: 1, lease: .seconds(1))
        } _: { store async throws in
            #expect(try await expectWaits { try await store.claim("old", limit: 1, lease: .seconds(1)) }.isEmpty)
        }
    }

    @Test("a count waits until a settlement is durable")
    func countWaits() async throws {
        let store = try openStore(files)
        _ = try await store.enqueue([NewRecord(queue: "q", id: "1", payload: [])])
        let claim = try #require(try await store.claim("q", limit: 1, lease: .seconds(1)).first)
        files.holdSyncs()
        let settlement = startTask { await reason { _ = try await store.settle([Settlement(claim, .done)]) } }
        await files.untilHeldSyncs(1)
        #expect(try await expectWaits { try await store.counts("q") }.pending == 0)
        #expect(await settlement.value == nil)
        await store.close()
    }

    @Test("every read of a queue waits until its records are durable", arguments: [0, 1, 2, 3])
    func queueReadsWait(_ read: Int) async throws {
        let record = NewRecord(queue: "q", id: "1", payload: [])
        try await withPendingWrite {
            _ = try await $0.enqueue([record])
        } _: { store async throws in
            switch read {
            case 0: #expect(try await expectWaits { try await store.counts("q") }.pending == 1)
            case 1: #expect(try await expectWaits { try await store.nextDue("q") } == .zero)
            case 2:
                let page = try await expectWaits { try await store.page("q", .pending, after: nil, limit: 1) }
                #expect(page.records.count == 1)
            default:
                let stale = Settlement(queue: "q", id: "1", token: StoreVersion(rawValue: 1), .done)
                #expect(try await expectWaits { try await store.settle([stale]) } == [.stale])
            }
        }
    }

    @Test("writes that arrive during a sync share the next sync")
    func sharedSync() async throws {
        let store = try openStore(files)
        let before = files.fileSyncs
        files.holdSyncs()
        try await withThrowingTaskGroup { group in
            group.addTask { _ = try await store.put("first", []) }
            await files.untilHeldSyncs(1)
            for number in 0..<64 { group.addTask { _ = try await store.put("\(number)", [1]) } }
            for _ in 0..<500 { await Task.yield() }
            files.releaseSyncs()
            try await group.waitForAll()
        }
        // One sync for the first write and one or two for the others. A late task may have missed the second.
        #expect(files.fileSyncs - before < 20)
        #expect(try await store.entries().count == 65)
        await store.close()
    }

    @Test("a write of a cancelled task changes nothing")
    func cancelledBefore() async throws {
        let store = try openStore(files)
        let result = await startTask { () -> StoreError.Reason? in
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return await reason { try await store.put("a", []) }
        }.value
        #expect(result == .cancelled)
        #expect(try await store.entries().isEmpty)
        await store.close()
    }

    @Test("a write that is cancelled after it began reports its real outcome")
    func cancelledDuring() async throws {
        let store = try openStore(files)
        files.holdSyncs()
        let task = startTask { await reason { try await store.put("a", [1]) } }
        await files.untilHeldSyncs(1)
        task.cancel()
        files.releaseSyncs()
        #expect(await task.value == nil)
        #expect(try await store.get(key("a"))?.value == [1])
        await store.close()
    }

    /// Runs `body` with a store that has an expired entry, and checks the next opening with an earlier wall clock.
    private func withExpired(
        _ body: (FileStore) async throws -> Void,
        tuning: LogTuning = small
    ) async throws {
        let clock = ManualClock()
        let store = try openStore(files, clock: clock, tuning: tuning)
        try await store.put("a", [1], .after(.seconds(10)))
        clock.advance(by: .seconds(10))
        try await body(store)
        let disk = MemoryFileSystem(files.syncedFiles)
        await store.close()
        let second = try openStore(disk)
        #expect(try await second.get(key("a")) == nil)
        await second.close()
    }

    @Test("an expiry that an answer showed survives a wall clock that is set back")
    func expiryStays() async throws {
        try await withExpired { store async throws in #expect(try await store.get(key("a")) == nil) }
        try await withExpired { store async throws in #expect(try await store.entries().isEmpty) }
        try await withExpired { store async throws in
            #expect(try await store.commit([.check(key("a"), .present)]) == .conflict(index: 0, current: nil))
        }
        try await withExpired { _ = try await $0.commit([.delete(key("a"), if: .any)]) }
    }

    @Test("the expiry of a freed entry survives as well")
    func freedExpiryStays() async throws {
        try await withExpired { store async throws in
            #expect(try await store.get(key("other")) == nil)
            #expect(try await store.get(key("a")) == nil)
        }
    }

    @Test("only the first read of an expired entry waits until the expiry is durable")
    func expiredReadWaits() async throws {
        let clock = ManualClock()
        let store = try openStore(files, clock: clock)
        try await store.put("a", [1], .after(.seconds(10)))
        try await store.put("live", [2])
        clock.advance(by: .seconds(10))
        files.holdSyncs()
        // The read shows no expired entry.
        #expect(try await store.get(key("live"))?.value == [2])
        #expect(try await expectWaits { try await store.get(key("a")) } == nil)
        let syncs = files.fileSyncs
        #expect(try await store.get(key("a")) == nil)
        #expect(try await store.get(key("never")) == nil)
        #expect(files.fileSyncs == syncs)
        await store.close()
    }

    @Test("each shown expiry takes one sector of a growing log")
    func expiryCost() async throws {
        let clock = ManualClock()
        let store = try openStore(files, clock: clock, tuning: LogTuning(growth: 1024))
        for number in 0..<50 {
            try await store.put("\(number)", [1], .after(.seconds(number + 1)))
        }
        for number in 0..<50 {
            clock.advance(by: .seconds(1))
            #expect(try await store.get(key("\(number)")) == nil)
        }
        await store.close()
        let second = try openStore(files)
        #expect(try await second.entries().isEmpty)
        await second.close()
    }

    @Test("expired entries can be read on a full disk")
    func expiryOnFullDisk() async throws {
        let clock = ManualClock()
        let store = try openStore(files, clock: clock, tuning: LogTuning(growth: 1024))
        for number in 0..<20 { try await store.put("\(number)", [1], .after(.seconds(number + 1))) }
        files.set { $0.freeBytes = 0 }
        for number in 0..<20 {
            clock.advance(by: .seconds(1))
            #expect(try await store.get(key("\(number)")) == nil)
        }
        #expect(await reason { try await store.put("b", []) } == .diskFull)
        await store.close()
    }

    @Test("writes behind a full batch wait in order, and a cancelled write leaves")
    func fullBatch() async throws {
        let store = try openStore(files, tuning: LogTuning(growth: 1 << 20, batchLimit: 1))
        files.holdSyncs()
        let first = startTask { await reason { try await store.put("first", []) } }
        await files.untilHeldSyncs(1)
        // The second write fills the batch, and the others wait for their turn.
        let second = startTask { await reason { try await store.put("n", [0]) } }
        var others: [Task<StoreError.Reason?, Never>] = []
        for number in 1...20 {
            others.append(startTask { await reason { try await store.put("n", [UInt8(number)]) } })
            for _ in 0..<50 { await Task.yield() }
        }
        others[19].cancel()
        #expect(await others[19].value == .cancelled)
        files.releaseSyncs()
        #expect(await first.value == nil)
        #expect(await second.value == nil)
        for task in others.prefix(19) { #expect(await task.value == nil) }
        #expect(try await store.get(key("n"))?.value == [19])
        await store.close()
    }

    @Test("a write that waits for room precedes a later, smaller write")
    func orderOfRoom() async throws {
        let store = try openStore(files)
        files.holdSyncs()
        let large = startTask { try? await store.put("large", [UInt8](repeating: 1, count: 9000)) }
        await files.untilHeldSyncs(1)
        let small = startTask { try? await store.put("small", [1]) }
        for _ in 0..<100 { await Task.yield() }
        files.releaseSyncs()
        #expect(try #require(await large.value) < #require(await small.value))
        await store.close()
    }

    @Test("close waits for pending writes")
    func closing() async throws {
        let store = try openStore(files, tuning: LogTuning(growth: 4096, batchLimit: 1))
        files.holdSyncs()
        let writes = (0..<10).map { number in
            startTask { await reason { try await store.put("\(number)", []) } }
        }
        await files.untilHeldSyncs(1)
        for _ in 0..<100 { await Task.yield() }
        let closes = (0..<3).map { _ in startTask { await store.close() } }
        for _ in 0..<100 { await Task.yield() }
        #expect(await reason { try await store.put("late", []) } == .closed)
        files.releaseSyncs()
        for close in closes { await close.value }
        for write in writes { #expect(await write.value == nil) }
        let second = try openStore(files)
        #expect(second.recovery.wasClosed)
        #expect(try await second.entries().count == 10)
        await second.close()
    }

    @Test("concurrent updates of one counter are all counted")
    func counter() async throws {
        let store = try openStore(files)
        let add = AtomicUpdate.add(1, within: 0 ... .max, expiry: .seconds(3600))
        try await withThrowingTaskGroup { group in
            for _ in 0..<50 {
                group.addTask { for _ in 0..<20 { _ = try await store.update([(key("n"), add)]) } }
            }
            try await group.waitForAll()
        }
        #expect(try await store.update([(key("n"), add)]).decisions.first?.remaining == 1001)
        await store.close()
    }

    @Test("exactly one of many concurrent claims of a key succeeds")
    func claims() async throws {
        let store = try openStore(files)
        let winners = try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<100 {
                group.addTask {
                    let write = StoreWrite.put(key("claim"), [UInt8(number)], .after(.seconds(1)), if: .absent)
                    if case .committed = try await store.commit([write]) { return true }
                    return false
                }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(winners == 1)
        await store.close()
    }
}
