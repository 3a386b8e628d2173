import CheckSupport
import Foundation
import ReliabilityFileStore
import ReliabilityStore

/// Fills the file system that the directory is on until a write is refused, and looks at what the store does then.
///
/// `.ci/diskfull` gives it one of its own.
func diskFullSuite(_ directory: String, _: String?) async throws -> SuiteResult {
    struct Unexpected: Error, CustomStringConvertible { let description: String }
    func check(_ holds: Bool, _ what: String) throws { if !holds { throw Unexpected(description: what) } }

    var expected: [StoreKey: [UInt8]] = [:]
    func verify(_ store: FileStore, _ when: String) async throws {
        let page = try await store.scan(StoreKey("full"), after: nil, limit: .max)
        let found = Dictionary(uniqueKeysWithValues: page.entries.map { ($0.key, $0.entry.value) })
        try check(found == expected, "\(when): \(found.count) entries instead of \(expected.count), or other values")
    }
    func value(_ number: Int) -> [UInt8] { (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* number) } }

    let tuning = LogTuning(growth: 16_384, batchLimit: 1 << 20, compactionMinimum: 65_536)
    var store = try FileStore(at: directory + "/store", tuning: tuning)
    let filler = directory + "/filler"
    var writes = 0
    for round in 1...3 {
        // Another file takes all but a tenth, so that the store stays small enough for a second copy, which an opening
        // writes.
        let disk = try FileManager.default.attributesOfFileSystem(forPath: directory)
        let free = disk[.systemFreeSize] as? Int ?? 0
        let size = disk[.systemSize] as? Int ?? 0
        try Data(repeating: 1, count: max(0, free - size / 10)).write(to: URL(fileURLWithPath: filler))
        var refusal: StoreError?
        var refused = 0
        // Every later write that fits in the log is made, every one that does not is refused and changes nothing.
        for number in 0..<4000 where refused < 10 {
            let key = StoreKey("full", "\(round)-\(number)")
            do throws(StoreError) {
                _ = try await store.commit([.put(key, value(number), .never, if: .absent)])
                expected[key] = value(number)
                writes += 1
            } catch {
                refusal = error
                refused += 1
                try check(error.reason == .diskFull, "round \(round): refused with \(error)")
            }
        }
        try check(refusal != nil, "round \(round): the disk was never full")
        try await verify(store, "round \(round), full")
        // There is room for the seal always.
        if round == 2 {
            await store.close()
            var isRefused = false
            do throws(StoreError) {
                store = try FileStore(at: directory + "/store", tuning: tuning)
            } catch {
                isRefused = true
                try check(error.reason == .diskFull, "opening on a full disk: \(error)")
            }
            try FileManager.default.removeItem(atPath: filler)
            if isRefused { store = try FileStore(at: directory + "/store", tuning: tuning) }
            try check(store.recovery.wasClosed, "closed on a full disk, and not found closed")
        } else {
            try FileManager.default.removeItem(atPath: filler)
        }
        // Without reopening, at once.
        let key = StoreKey("full", "after \(round)")
        _ = try await store.commit([.put(key, value(round), .never, if: .absent)])
        expected[key] = value(round)
        for old in expected.keys.filter({ $0.hasPrefix(StoreKey("full")) }).sorted().prefix(20) {
            _ = try await store.commit([.delete(old, if: .present)])
            expected[old] = nil
        }
        try await verify(store, "round \(round), with space again")
    }
    await store.close()
    let again = try FileStore(at: directory + "/store", tuning: tuning)
    try check(again.recovery.wasClosed && again.recovery.droppedTailBytes == 0, "not found closed: \(again.recovery)")
    try await verify(again, "reopened")
    await again.close()
    return SuiteResult(summary: "\(writes) writes, refused and resumed three times")
}
