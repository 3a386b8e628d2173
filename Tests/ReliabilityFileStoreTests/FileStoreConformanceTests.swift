import Foundation
import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@testable import ReliabilityFileStore

@Suite("FileStore conformance")
struct FileStoreConformanceTests {
    /// A store in memory whose file system loses its power when the store crashes.
    private static func inMemory() -> StoreConformance {
        let disk = Lock(MemoryFileSystem())
        @Sendable func open(_ clock: ManualClock) throws -> FileStore {
            try openStore(disk.withLock { $0 }, clock: clock, unixTime: wallClock(clock))
        }
        return StoreConformance(
            of: FileStore.self,
            reopen: { store, clock in
                await store.close()
                return try open(clock)
            },
            crash: { store, clock in
                disk.withLock { $0 = MemoryFileSystem($0.syncedFiles) }
                return try open(clock)
            },
            loseAnswer: { _, _ in
                disk.withLock { disk in
                    disk.set { state in
                        state.syncFailure = FileSystemError(.other, "a cable was pulled")
                        state.syncFailures = 1
                    }
                }
            },
            close: { await $0.close() },
            makeStore: { clock in
                disk.withLock { $0 = MemoryFileSystem() }
                return try open(clock)
            }
        )
    }

    /// The wall clock at an opening.
    @Sendable private static func wallClock(_ clock: ManualClock) -> Int64 {
        someday + ManualClock().now.duration(to: clock.now).saturatingNanoseconds
    }

    @Test("the store passes every check in memory with small logs", arguments: inMemory().applicableChecks)
    func conforms(to check: StoreConformance.Check) async throws { try await Self.inMemory().run(check) }

    private static func onDisk(_ directory: String) -> StoreConformance {
        @Sendable func open(_ clock: ManualClock) throws -> FileStore {
            try FileStore(at: directory, clock: clock, unixTime: wallClock(clock))
        }
        return StoreConformance(
            of: FileStore.self,
            seeds: 1,
            reopen: { store, clock in
                await store.close()
                return try open(clock)
            },
            close: { await $0.close() },
            makeStore: { clock in try open(clock) }
        )
    }

    @Test("the store passes every check on a real disk", arguments: onDisk("").applicableChecks)
    func conformsOnDisk(to check: StoreConformance.Check) async throws {
        let directory = NSTemporaryDirectory() + "conformance-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try await Self.onDisk(directory).run(check)
    }
}
