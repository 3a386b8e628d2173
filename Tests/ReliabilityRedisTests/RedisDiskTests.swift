import Foundation
import ReliabilityCore
import ReliabilityStore
import Testing

@testable import ReliabilityRedis

#if os(Linux)

/// A small file system in memory.
private final class SmallDisk: Sendable {
    let directory: URL

    /// Mounts the file system, which needs the rights of an administrator.
    init(megabytes: Int) throws {
        directory = URL(filePath: "/tmp").appending(path: "disk-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let (status, text) = try Self.run("mount", "-t", "tmpfs", "-o", "size=\(megabytes)m", "tmpfs", directory.path)
        if status != 0 { throw StoreError(.failed, "mount: \(text)") }
    }

    /// A Boolean value that indicates whether this user may mount a file system.
    static let isAllowed = geteuid() == 0 && (try? SmallDisk(megabytes: 1)) != nil

    static func run(_ command: String...) throws -> (Int32, String) {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = command
        let pipe = Pipe()
        process.standardError = pipe
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }

    /// Fills the rest of the disk.
    func fill() throws -> URL {
        let file = directory.appending(path: "filler")
        _ = try Self.run("dd", "if=/dev/zero", "of=\(file.path)", "bs=64k")
        return file
    }

    deinit {
        _ = try? Self.run("umount", "-l", directory.path)
        try? FileManager.default.removeItem(at: directory)
    }
}

@Suite(
    "Full disks of a Redis server",
    .enabled(if: RedisServer.isEnabled),
    .enabled(if: SmallDisk.isAllowed, "an administrator's rights are needed to mount a file system")
)
struct RedisDiskTests {
    private let key = StoreKey(Keyspace("k"), "a")

    private func put(_ store: RedisStore, _ value: [UInt8]) async -> StoreError.Reason? {
        await store.reason { store async throws(StoreError) in
            _ = try await store.commit(.put(key, value, .never, if: .any))
        }
    }

    @Test("N20: a full disk rejects writes as diskFull, reads go on, and writes return by themselves")
    func fullDisk() async throws {
        let disk = try SmallDisk(megabytes: 4)
        let server = try RedisServer("--appendonly", "yes", "--appenddirname", "aof", in: disk.directory)
        try await server.command("PING")
        let store = try await server.store()
        #expect(await put(store, [1]) == nil)
        let filler = try disk.fill()
        let big = Array(repeating: UInt8(2), count: 200_000)
        let reason = try await eventually { await put(store, big) }
        #expect(reason == .diskFull)
        #expect(try await store.get(key)?.value != nil)
        #expect(store.connectionState == .ready)
        try FileManager.default.removeItem(at: filler)
        try await waitUntil { await put(store, [3]) == nil }
        #expect(try await store.get(key)?.value == [3])
        withExtendedLifetime(disk) {}
    }

    @Test("N21: a server that dies of a full disk leaves an unknown outcome, and no call hangs")
    func diesOfFullDisk() async throws {
        let disk = try SmallDisk(megabytes: 4)
        let server = try RedisServer("--appendonly", "yes", "--appendfsync", "always", in: disk.directory)
        try await server.command("PING")
        let store = try await server.store()
        _ = try disk.fill()
        let big = Array(repeating: UInt8(2), count: 200_000)
        let reason = try await eventually { await put(store, big) }
        #expect(reason == .unknownOutcome || reason == .unavailable)
        try await waitUntil { store.connectionState != .ready }
        #expect(await put(store, [1]) == .unavailable)
        withExtendedLifetime(disk) {}
    }
}

#endif
