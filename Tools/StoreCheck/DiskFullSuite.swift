import CheckSupport
import Foundation
import ReliabilityFileStore
import ReliabilityStore

/// Fills the file system of the directory until a write is rejected, and checks the store.
///
/// `.ci/diskfull` provides a separate file system.
func diskFullSuite(_ directory: String, _: String?) async throws -> SuiteResult {
    struct Unexpected: Error, CustomStringConvertible { let description: String }
    func check(_ holds: Bool, _ what: String) throws { if !holds { throw Unexpected(description: what) } }

    var expected: [StoreKey: [UInt8]] = [:]
    func verify(_ store: FileStore, _ when: String) async throws {
        var found: [StoreKey: [UInt8]] = [:]
        var next: StoreKey?
        repeat {
            let page = try await store.scan(StoreKey("full"), after: next, limit: .max)
            for (key, entry) in page.entries { found[key] = entry.value }
            next = page.next
        } while next != nil
        try check(found == expected, "\(when): \(found.count) entries instead of \(expected.count), or other values")
    }
    func value(_ number: Int) -> [UInt8] { (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* number) } }

    let tuning = LogTuning(growth: 16_384, batchLimit: 1 << 20, compactionMinimum: 65_536)
    var store = try FileStore(at: directory + "/store", tuning: tuning)
    let filler = directory + "/filler"
    var writes = 0
    for round in 1...3 {
        // Another file takes nine tenths, so the store stays small.
        let disk = try FileManager.default.attributesOfFileSystem(forPath: directory)
        let free = disk[.systemFreeSize] as? Int ?? 0
        let size = disk[.systemSize] as? Int ?? 0
        try Data(repeating: 1, count: max(0, free - size / 10)).write(to: URL(fileURLWithPath: filler))
        var rejection: StoreError?
        var rejected = 0
        // A later write that fits in the log succeeds. Any other write is rejected and changes nothing.
        for number in 0..<4000 where rejected < 10 {
            let key = StoreKey("full", "\(round)-\(number)")
            do throws(StoreError) {
                _ = try await store.commit([.put(key, value(number), .never, if: .absent)])
                expected[key] = value(number)
                writes += 1
            } catch {
                rejection = error
                rejected += 1
                try check(error.reason == .diskFull, "round \(round): rejected with \(error)")
            }
        }
        try check(rejection != nil, "round \(round): the disk was never full")
        try await verify(store, "round \(round), full")
        // There is always room for the seal.
        if round == 2 {
            await store.close()
            var isRejected = false
            do throws(StoreError) {
                store = try FileStore(at: directory + "/store", tuning: tuning)
            } catch {
                isRejected = true
                try check(error.reason == .diskFull, "opening on a full disk: \(error)")
            }
            try FileManager.default.removeItem(atPath: filler)
            if isRejected { store = try FileStore(at: directory + "/store", tuning: tuning) }
            try check(store.recovery.wasClosed, "closed on a full disk, and not found closed")
        } else {
            try FileManager.default.removeItem(atPath: filler)
        }
        // The writes succeed immediately, without a reopening.
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
    return SuiteResult(summary: "\(writes) writes, rejected and resumed three times")
}
