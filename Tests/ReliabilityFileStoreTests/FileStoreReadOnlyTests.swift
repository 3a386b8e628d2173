import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityTesting
import Testing

/// Stores that are opened in the mode `readOnly`.
@Suite("FileStore, read-only")
struct FileStoreReadOnlyTests {
    let files = MemoryFileSystem()

    /// Makes a store with an entry and three records: pending, leased and dead.
    @discardableResult
    private func fill(close: Bool = true) async throws -> FileStore {
        let store = try openStore(files)
        try await store.put("a", [1])
        _ = try await store.enqueue(["1", "2", "3"].map { NewRecord(queue: "q", id: $0, payload: [1]) })
        let claims = try await store.claim("q", limit: 2, lease: .seconds(60))
        _ = try await store.settle([Settlement(claims[0], .deadLetter(reason: "why"))])
        if close { await store.close() }
        return store
    }

    @Test("a store on a full disk can be read, and nothing on the disk changes", arguments: [true, false])
    func fullDisk(
        isClosed: Bool
    ) async throws {
        // The reference keeps the store open.
        let owner = try await fill(close: isClosed)
        let image = files.files.filter { $0.key != "reserve" }
        let disk = MemoryFileSystem(image)
        disk.set { $0.freeBytes = 0 }
        let rejection = #expect(throws: StoreError.self) { _ = try openStore(disk) }
        #expect(rejection?.reason == .diskFull)
        #expect(rejection?.explanation.contains("readOnly") == true)
        let calls = disk.calls
        let store = try openStore(disk, mode: .readOnly)
        #expect(store.recovery.wasClosed == isClosed && !store.recovery.isNew)
        #expect(try await store.entries() == [key("a"): [1]])
        #expect(try await store.counts("q") == RecordCounts(pending: 2, deadLetters: 1))
        #expect(try await store.page("q", .deadLetter, after: nil, limit: 9).records.map(\.deadLetterReason) == ["why"])
        #expect(store.usage.entries == 1 && store.usage.records == 3)
        await store.close()
        #expect(disk.calls == calls && disk.files == image && disk.openCount == 0)
        await owner.close()
    }

    @Test("every write is rejected as read-only")
    func writes() async throws {
        try await fill()
        let store = try openStore(files, mode: .readOnly)
        let claim = Settlement(queue: "q", id: "2", token: StoreVersion(rawValue: 1), .done)
        #expect(await reason { try await store.put("a", [2]) } == .readOnly)
        #expect(
            await reason { _ = try await store.enqueue([NewRecord(queue: "q", id: "9", payload: [])]) } == .readOnly
        )
        #expect(await reason { _ = try await store.claim("q", limit: 1, lease: .seconds(1)) } == .readOnly)
        #expect(await reason { _ = try await store.settle([claim]) } == .readOnly)
        let add = AtomicUpdate.add(1, within: 0...9, expiry: .seconds(1))
        #expect(await reason { _ = try await store.update([(key("n"), add)]) } == .readOnly)
        await store.close()
        #expect(await reason { _ = try await store.get(key("a")) } == .closed)
    }

    @Test("leases stay as the last owner left them, and entries expire")
    func leases() async throws {
        let clock = ManualClock()
        let owner = try openStore(files, clock: clock)
        try await owner.put("short", [1], .after(.seconds(5)))
        try await fill(owner)
        await owner.close()
        let store = try openStore(files, mode: .readOnly, clock: clock)
        let records = try await store.page("q", .pending, after: nil, limit: 9).records
        #expect(records.map(\.isLeased) == [true, false])
        #expect(try await store.get(key("short"))?.remaining == .seconds(5))
        clock.advance(by: .seconds(5))
        #expect(try await store.get(key("short")) == nil)
        await store.close()
    }

    private func fill(_ store: FileStore) async throws {
        _ = try await store.enqueue(["1", "2"].map { NewRecord(queue: "q", id: $0, payload: [1]) })
        _ = try await store.claim("q", limit: 1, lease: .seconds(60))
    }

    @Test("an open owner blocks readers, and open readers block no owner")
    func owners() async throws {
        let owner = try openStore(files)
        try await owner.put("a", [1])
        #expect(await reason { _ = try openStore(files, mode: .readOnly) } == .locked)
        await owner.close()
        let reader = try openStore(files, mode: .readOnly)
        let another = try openStore(files, mode: .readOnly)
        let next = try openStore(files)
        try await next.put("a", [2])
        for store in [reader, another] { #expect(try await store.get(key("a"))?.value == [1]) }
        await next.close()
    }

    @Test("no store, a missing log and a damaged log have different errors")
    func missing() async throws {
        #expect(await reason { _ = try openStore(files, mode: .readOnly) } == .unavailable)
        #expect(files.files.isEmpty)
        try await fill()
        var image = files.files
        image[files.log]?[600] ^= 1
        #expect(
            await reason { _ = try openStore(MemoryFileSystem(image), mode: .readOnly) }
                == .corruption(file: files.log, offset: 512)
        )
        image[files.log] = nil
        #expect(
            await reason { _ = try openStore(MemoryFileSystem(image), mode: .readOnly) }
                == .corruption(file: files.log, offset: 0)
        )
    }

    @Test("the log alone can be read")
    func logAlone() async throws {
        try await fill()
        let image = files.files.filter { $0.key == files.log }
        let store = try openStore(MemoryFileSystem(image), mode: .readOnly)
        #expect(try await store.entries().count == 1)
        await store.close()
    }
}
