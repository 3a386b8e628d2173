import Foundation
import ReliabilityCore
import ReliabilityStore
import TestSupport
import Testing

@testable import ReliabilityRedis

#if os(Linux)

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

    @Test("N20: a full disk fails no scan, although a scan removes leftovers of expired entries")
    func scan() async throws {
        let disk = try SmallDisk(megabytes: 4)
        let server = try RedisServer("--appendonly", "yes", "--appenddirname", "aof", in: disk.directory)
        try await server.command("PING")
        var limits = ConnectionLimits()
        limits.checkInterval = .seconds(60)
        let store = try await server.store(limits: limits)
        let expiring = StoreKey(Keyspace("k"), "b")
        _ = try await store.commit([
            .put(key, [1], .never, if: .any), .put(expiring, [1], .after(.milliseconds(50)), if: .any),
        ])
        let filler = try disk.fill()
        let big = Array(repeating: UInt8(2), count: 200_000)
        #expect(try await eventually { await put(store, big) } == .diskFull)
        try await waitUntil { try await store.get(expiring) == nil }
        #expect(try await store.scan(StoreKey(Keyspace("k")), after: nil, limit: 10).entries.map(\.key) == [key])
        try FileManager.default.removeItem(at: filler)
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
