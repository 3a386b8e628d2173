import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityTesting
import Testing

@Suite("FileStore")
struct FileStoreTests {
    let files = MemoryFileSystem()

    @Test("entries survive a reopening")
    func reopening() async throws {
        let first = try openStore(files)
        #expect(first.recovery.isNew)
        let version = try await first.put("a", [1, 2, 3])
        try await first.put("b", [])
        try await first.put("gone", [9])
        _ = try await first.commit([.delete(key("gone"), if: .present)])
        await first.close()

        let second = try openStore(files)
        #expect(!second.recovery.isNew)
        #expect(second.recovery.wasClosed)
        #expect(second.recovery.droppedTailBytes == 0)
        #expect(second.recovery.replayedFrames == 6)
        #expect(try await second.get(key("a")) == StoreEntry(value: [1, 2, 3], version: version, remaining: nil))
        #expect(try await second.entries() == [key("a"): [1, 2, 3], key("b"): []])
        await second.close()
    }

    @Test("a version is not issued again after a delete and a reopening")
    func versions() async throws {
        let first = try openStore(files)
        let version = try await first.put("a", [1])
        _ = try await first.commit([.delete(key("a"), if: .any)])
        await first.close()

        let second = try openStore(files)
        #expect(try #require(second.capabilities.openedAt) > version)
        #expect(try await second.put("a", [2]) > version)
        #expect(try await second.put("b", [2]) >= #require(second.capabilities.openedAt))
        let last = try await second.put("c", [2])
        _ = try await second.commit([.delete(key("c"), if: .any)])
        await second.close()
        // After a second opening, only the log's own record of the last version is left.
        await (try openStore(files)).close()
        let third = try openStore(files)
        #expect(try await third.put("a", [3]) > last)
        await third.close()
    }

    @Test("a time to live continues after a reopening")
    func expiry() async throws {
        let clock = ManualClock()
        let first = try openStore(files, clock: clock)
        try await first.put("a", [1], .after(.seconds(10)))
        clock.advance(by: .seconds(4))
        await first.close()

        let second = try openStore(files, clock: clock, unixTime: someday + 5_000_000_000)
        #expect(try await second.get(key("a"))?.remaining == .seconds(5))
        clock.advance(by: .seconds(5))
        #expect(try await second.get(key("a")) == nil)
        await second.close()
    }

    @Test("the store's clock does not go back with the wall clock")
    func clockSetBack() async throws {
        let clock = ManualClock()
        let first = try openStore(files, clock: clock)
        try await first.put("a", [1], .after(.seconds(10)))
        clock.advance(by: .seconds(10))
        #expect(try await first.get(key("a")) == nil)
        await first.close()

        let second = try openStore(files, clock: clock, unixTime: 0)
        #expect(try await second.get(key("a")) == nil)
        await second.close()
    }

    @Test("entries expire under a wall clock before 1970")
    func before1970() async throws {
        let clock = ManualClock()
        let store = try openStore(files, clock: clock, unixTime: -3_600_000_000_000)
        try await store.put("a", [1], .after(.seconds(1)))
        clock.advance(by: .seconds(1))
        #expect(try await store.get(key("a")) == nil)
        await store.close()
    }

    @Test("records keep their content, attempts and dead letters")
    func records() async throws {
        let clock = ManualClock()
        let first = try openStore(files, clock: clock)
        let records = ["a", "b", "c"].map { NewRecord(queue: "q", id: $0, payload: Array($0.utf8)) }
        _ = try await first.enqueue(records + [NewRecord(queue: "q", id: "later", payload: [], delay: .seconds(60))])
        let claims = try await first.claim("q", limit: 2, lease: .seconds(30))
        #expect(claims.map(\.id) == ["a", "b"])
        _ = try await first.settle([Settlement(claims[0], .deadLetter(reason: "why")), Settlement(claims[1], .done)])
        await first.close()

        let second = try openStore(files, clock: clock)
        #expect(try await second.counts("q") == RecordCounts(pending: 2, deadLetters: 1))
        let dead = try #require(try await second.page("q", .deadLetter, after: nil, limit: 10).records.first)
        #expect(dead.id == "a" && dead.payload == [97] && dead.attempts == 1 && dead.deadLetterReason == "why")
        #expect(try #require(try await second.nextDue("q")) <= .zero)
        #expect(try await second.claim("q", limit: 10, lease: .seconds(1)).map(\.id) == ["c"])
        #expect(try await second.nextDue("q") == .seconds(1))
        await second.close()
    }

    @Test("a reopening ends leases")
    func leases() async throws {
        let first = try openStore(files)
        _ = try await first.enqueue([NewRecord(queue: "q", id: "a", payload: [1])])
        let claim = try #require(try await first.claim("q", limit: 1, lease: .seconds(3600)).first)
        #expect(claim.attempt == 1)
        await first.close()

        let second = try openStore(files)
        #expect(try await second.page("q", .pending, after: nil, limit: 1).records.first?.isLeased == false)
        let again = try #require(try await second.claim("q", limit: 1, lease: .seconds(1)).first)
        #expect(again.attempt == 2)
        #expect(again.token >= second.capabilities.openedAt!)
        #expect(try await second.settle([Settlement(claim, .done)]) == [.stale])
        await second.close()
    }

    @Test("entries and records are committed together")
    func commits() async throws {
        let first = try openStore(files)
        let record = NewRecord(queue: "q", id: "1", payload: [7])
        let written = try await first.commit([.put(key("a"), [1], .never, if: .absent)], enqueueing: [record])
        guard case .committed = written else { return #expect(Bool(false)) }
        let rejected = try await first.commit(
            [.put(key("a"), [2], .never, if: .absent)],
            enqueueing: [NewRecord(queue: "q", id: "2", payload: [])]
        )
        guard case .conflict(0, let current) = rejected else { return #expect(Bool(false)) }
        #expect(current?.value == [1])
        await first.close()

        let second = try openStore(files)
        #expect(try await second.entries() == [key("a"): [1]])
        #expect(try await second.counts("q") == RecordCounts(pending: 1, deadLetters: 0))
        await second.close()
    }

    @Test("atomic updates survive a reopening")
    func updates() async throws {
        let first = try openStore(files)
        let add = AtomicUpdate.add(3, within: 0...5, expiry: .seconds(60))
        #expect(try await first.update([(key("n"), add)]).isApplied)
        #expect(try await !first.update([(key("n"), add)]).isApplied)
        await first.close()
        let second = try openStore(files)
        #expect(try await second.update([(key("n"), add)]).decisions.map(\.remaining) == [3])
        await second.close()
    }

    @Test("values of every size survive a reopening")
    func sizes() async throws {
        let sizes = [0, 1, 300, 400, 424, 425, 439, 440, 441, 512, 936, 937, 5000, 1 << 20]
        let first = try openStore(files)
        for size in sizes {
            try await first.put("\(size)", (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ size) })
            try await first.put("zero \(size)", [UInt8](repeating: 0, count: size))
        }
        let before = try await first.entries()
        await first.close()
        let second = try openStore(files)
        #expect(try await second.entries() == before)
        #expect(before.count == 2 * sizes.count)
        await second.close()
    }

    @Test("the log is compacted while the store is open")
    func compaction() async throws {
        let tuning = LogTuning(growth: 4096, compactionMinimum: 64 << 10)
        let store = try openStore(files, tuning: tuning)
        for round in 0..<400 {
            try await store.put("k\(round % 7)", [UInt8](repeating: UInt8(round % 251), count: 700))
        }
        _ = try await store.enqueue([NewRecord(queue: "q", id: "1", payload: [1])])
        // The content has less than 8 KiB.
        while files.contentSize > 128 << 10 { await Task.yield() }
        let before = try await store.entries()
        #expect(before.count == 7)
        await store.close()

        let second = try openStore(files)
        #expect(second.recovery.replayedFrames < 200)
        #expect(try await second.entries() == before)
        #expect(try await second.counts("q").pending == 1)
        await second.close()
    }

    @Test("commits continue during repeated compactions")
    func compactionUnderLoad() async throws {
        let store = try openStore(files, tuning: LogTuning(growth: 2048, batchLimit: 2048, compactionMinimum: 4096))
        try await withThrowingTaskGroup { group in
            for task in 0..<20 {
                group.addTask {
                    for round in 0..<20 { try await store.put("\(task)", [UInt8(task), UInt8(round)]) }
                }
            }
            try await group.waitForAll()
        }
        await store.close()
        let second = try openStore(files)
        #expect(try await second.entries().count == 20)
        for task in 0..<20 { #expect(try await second.get(key("\(task)"))?.value == [UInt8(task), 19]) }
        await second.close()
    }

    @Test("64 concurrent tasks modify one key without a lost update")
    func contention() async throws {
        let store = try openStore(files, tuning: LogTuning(growth: 64 << 10))
        try await withThrowingTaskGroup { group in
            for _ in 0..<64 {
                group.addTask {
                    for _ in 0..<20 {
                        try await store.modify(key("n"), expiry: .never) { value in
                            let number = (value ?? [0, 0]).reduce(0) { $0 << 8 | Int($1) } + 1
                            return [UInt8(number >> 8), UInt8(number & 255)]
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await store.get(key("n"))?.value == [5, 0])
        await store.close()
    }

    @Test("the usage matches the content before and after a reopening")
    func usage() async throws {
        let first = try openStore(files, configuration: .init(maxEntries: 10, maxBytes: 1000))
        #expect(first.usage.fraction == 0)
        try await first.put("a", [1, 2, 3])
        _ = try await first.enqueue([NewRecord(queue: "q", id: "1", payload: [1])])
        let usage = first.usage
        #expect(usage.entries == 1 && usage.records == 1 && usage.bytes > 128 && usage.fraction >= 0.2)
        await first.close()
        #expect(first.usage == usage)
        let second = try openStore(files, configuration: .init(maxEntries: 10, maxBytes: 1000))
        #expect(second.usage == usage)
        await second.close()
    }

    @Test("calls to a closed store throw closed")
    func closed() async throws {
        let store = try openStore(files)
        await store.close()
        await store.close()
        #expect(await reason { try await store.put("a", []) } == .closed)
        #expect(await reason { _ = try await store.get(key("a")) } == .closed)
        #expect(files.openCount == 0)
    }

    @Test("a full store rejects writes and does not evict")
    func full() async throws {
        let store = try openStore(files, configuration: .init(maxEntries: 2))
        try await store.put("a", [])
        try await store.put("b", [])
        #expect(await reason { try await store.put("c", []) } == .capacityExceeded)
        #expect(try await store.entries().count == 2)
        await store.close()
        // A smaller limit at the next opening loses nothing.
        let second = try openStore(files, configuration: .init(maxEntries: 1))
        #expect(try await second.entries().count == 2)
        await second.close()
    }

    @Test("a second owner is rejected, and the first is unaffected")
    func secondOwner() async throws {
        let first = try openStore(files)
        #expect(await reason { _ = try openStore(files) } == .locked)
        try await first.put("a", [1])
        await first.close()
        await (try openStore(files)).close()
    }

    @Test("calls in a forked process are rejected")
    func forked() async throws {
        let store = try openStore(files)
        files.set { $0.process = 2 }
        #expect(await reason { try await store.put("a", []) } == .failed)
        #expect(await reason { _ = try await store.get(key("a")) } == .failed)
        await store.close()
        files.set { $0.process = 1 }
        try await store.put("a", [])
        await store.close()
    }

    @Test("a missing log is corruption and not a new store")
    func missingLog() async throws {
        await (try openStore(files)).close()
        var image = files.files
        image[files.log] = nil
        let rejected = await reason { _ = try openStore(MemoryFileSystem(image)) }
        #expect(rejected == .corruption(file: files.log, offset: 0))
    }

    @Test("a future format is rejected and left unchanged")
    func futureFormat() async throws {
        await (try openStore(files)).close()
        var image = files.files
        // Format 3 with a valid checksum.
        var log = try #require(image[files.log])
        log[12] = 3
        var checksum = UInt32.max
        for byte in log[12..<512] {
            checksum ^= UInt32(byte)
            for _ in 0..<8 { checksum = checksum >> 1 ^ (checksum & 1 == 0 ? 0 : 0x82F6_3B78) }
        }
        for index in 0..<4 { log[8 + index] = UInt8(truncatingIfNeeded: ~checksum >> (8 * UInt32(index))) }
        image[files.log] = log
        let newer = MemoryFileSystem(image)
        #expect(await reason { _ = try openStore(newer) } == .unsupportedFormat(3))
        #expect(newer.files[files.log] == log)
        #expect(newer.openCount == 0)
    }

    @Test("a released store releases its lock")
    func released() async throws {
        var store: FileStore? = try openStore(files)
        try await store?.put("a", [1])
        files.holdSyncs()
        store = nil
        // The thread writes the seal and then closes the files.
        await files.untilHeldSyncs(1)
        files.releaseSyncs()
        while files.openCount > 0 { await Task.yield() }
        let second = try openStore(files)
        #expect(second.recovery.wasClosed)
        #expect(try await second.get(key("a"))?.value == [1])
        await second.close()
    }
}
