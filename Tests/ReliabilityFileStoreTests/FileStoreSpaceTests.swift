import ReliabilityFileStore
import ReliabilityStore
import ReliabilityTesting
import StoreSimulation
import Testing

/// The space on the disk of a store whose files are 256 times smaller than usual.
@Suite("FileStore space", .timeLimit(.minutes(30)))
struct FileStoreSpaceTests {
    private static let growth = 4096
    private let files = SimulatedFileSystem(seed: 1)
    private let tuning = LogTuning(growth: Int64(growth), compactionMinimum: Int64(16 * growth))

    private func store() throws -> SimulatedStore {
        try SimulatedStore(files, unixTime: CrashExplorer.beginning, tuning: tuning)
    }

    private func put(_ number: Int, _ store: SimulatedStore, expiry: Expiry = .never) {
        let value = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 1000)
        _ = store.call(.commit([.put(key("\(number)"), value, expiry, if: .any)], []))
    }

    /// The number of bytes that the content needs in a file.
    private func live(_ store: SimulatedStore) -> Int {
        store.content.entries.reduce(0) { $0 + $1.key.byteCount + $1.stored.value.count + 24 }
    }

    @Test("endless overwriting takes at most 2.1 times the content and 64 segments of space")
    func overwriting() throws {
        let store = try store()
        var generator = SeededGenerator(seed: 3)
        var largest = 0
        for number in 0..<200 { put(number, store) }
        for round in 0..<1000 {
            put(.random(in: 0..<200, using: &generator), store)
            // The maintenance has time for its steps.
            store.settle()
            if round % 20 == 0 { largest = max(largest, files.usedBytes) }
        }
        #expect(largest <= live(store) * 21 / 10 + 64 * Self.growth)
        // The log alone would have a megabyte.
        #expect(store.recovery.isNew)
        store.close()
    }

    @Test("deleted content gives its space back while the store is open")
    func deletion() throws {
        let store = try store()
        for number in 0..<400 { put(number, store) }
        store.settle()
        #expect(files.usedBytes > 64 * Self.growth)
        for number in 0..<400 { _ = store.call(.commit([.delete(key("\(number)"), if: .present)], [])) }
        store.settle()
        #expect(live(store) == 0)
        #expect(files.usedBytes <= 64 * Self.growth)
        store.close()
    }

    @Test("expired content gives its space back without a call")
    func expiry() throws {
        let store = try store()
        for number in 0..<400 { put(number, store, expiry: .after(.seconds(60))) }
        store.settle()
        #expect(files.usedBytes > 64 * Self.growth)
        store.advance(by: 61_000_000_000)
        // Each step of the maintenance frees some entries.
        for _ in 0..<100 { store.settle() }
        #expect(files.usedBytes <= 64 * Self.growth)
        store.close()
    }

    @Test("an opening writes little, whatever the content")
    func opening() throws {
        let first = try store()
        for number in 0..<400 { put(number, first) }
        first.close()
        let again = files.restarted()
        again.recordsCalls = true
        let second = try SimulatedStore(again, unixTime: CrashExplorer.beginning, tuning: tuning)
        let written = again.calls.filter { $0.kind == .write }.reduce(0) { $0 + $1.count }
        #expect(written < 4 * Self.growth)
        #expect(second.content.entries.count == 400)
        second.close()
    }
}
