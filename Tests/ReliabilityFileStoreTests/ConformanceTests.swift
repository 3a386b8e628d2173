import Foundation
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import ReliabilityFileStore

@Suite("FileStore conforms")
struct FileStoreConformanceTests {
    private static let close: @Sendable (any KeyValueStore) async -> Void = { await ($0 as? FileStore)?.close() }

    @Test(
        "in memory, with files that grow and logs that are compacted all the time",
        arguments: StoreConformance.checks
    )
    func conforms(to check: StoreConformance.Check) async throws {
        let conformance = StoreConformance(close: Self.close) { clock in
            try openStore(MemoryFileSystem(), clock: clock)
        }
        try await conformance.run(check)
    }

    @Test("on a real disk", arguments: StoreConformance.checks)
    func conformsOnDisk(to check: StoreConformance.Check) async throws {
        let directory = NSTemporaryDirectory() + "conformance-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let conformance = StoreConformance(seeds: 1, close: Self.close) { clock in
            try await FileStore.open(at: directory, clock: clock)
        }
        try await conformance.run(check)
    }
}
