import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityTesting
import Testing

/// The progress of long openings.
@Suite("FileStore progress")
struct FileStoreProgressTests {
    private let files = MemoryFileSystem()
    private let clock = ManualClock()

    /// Opens a store of which each read takes a time, and returns the events and the number of reads.
    private func open(
        _ mode: FileStore.Mode,
        readTakes time: Duration
    ) async throws -> (events: [FileStoreEvent], reads: Int) {
        let reads = Lock(0)
        files.set { [clock] in
            $0.onRead = {
                reads.withLock { $0 += 1 }
                clock.advance(by: time)
            }
        }
        defer { files.set { $0.onRead = nil } }
        let events = Lock<[FileStoreEvent]>([])
        let store = try FileStore(
            at: "store",
            mode: mode,
            clock: clock,
            fileSystem: files,
            unixTime: someday,
            tuning: small,
            observer: { event in events.withLock { $0.append(event) } }
        )
        await store.close()
        await ObserverDelivery.flush()
        return (events.withLock { $0 }, reads.withLock { $0 })
    }

    @Test(
        "an opening reports its progress at most once a second",
        arguments: [.readWrite, .readOnly] as [FileStore.Mode]
    )
    func progress(mode: FileStore.Mode) async throws {
        let store = try openStore(files, clock: clock)
        for number in 0..<40 { try await store.put("k\(number)", [1]) }
        await store.close()
        let (events, reads) = try await open(mode, readTakes: .milliseconds(100))
        #expect(reads > 80 && (reads / 10 - 1...reads / 10).contains(events.count))
        var last: Int64 = 0
        for event in events {
            guard case .opening(let read, let total) = event else {
                Issue.record("\(event)")
                continue
            }
            #expect(read >= last && read <= total)
            last = read
        }
        #expect(last > 15_000)
    }

    @Test("an opening of less than a second reports nothing")
    func short() async throws {
        let store = try openStore(files, clock: clock)
        try await store.put("a", [1])
        await store.close()
        #expect(try await open(.readWrite, readTakes: .milliseconds(10)).events.isEmpty)
    }
}
