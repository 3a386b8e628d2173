import Foundation
import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@testable import ReliabilityRedis

private let key = StoreKey(Keyspace("k"), "a")
private let queue = QueueName("q")

@Suite("Versions and time of RedisStore", .enabled(if: RedisServer.isEnabled))
struct RedisVersionTests {
    private func put(_ store: RedisStore) async throws -> StoreVersion {
        guard case .committed(let version?) = try await store.commit(.put(key, [1], .never, if: .any)) else {
            throw StoreError(.failed, "no version")
        }
        return version
    }

    @Test("N1: no version repeats or goes back after FLUSHALL")
    func flush() async throws {
        let server = try RedisServer()
        let store = try await server.store()
        let before = try await put(store)
        try await server.command("FLUSHALL")
        #expect(try await put(store) > before)
    }

    @Test("N1: no version repeats or goes back after a restart without persistence")
    func restart() async throws {
        let server = try RedisServer()
        let store = try await server.store()
        let before = try await put(store)
        try server.restart()
        #expect(try await eventually { try? await put(store) } > before)
    }

    @Test("N2: after a stale replica is promoted, new tokens are higher and the old holder is stale")
    func promotion() async throws {
        let primary = try RedisServer("--repl-diskless-sync-delay", "0", hasPort: true)
        let replica = try RedisServer("--replicaof", "127.0.0.1", "\(primary.port)", hasPort: true)
        let name = UUID().uuidString
        let first = try await primary.store(name)
        _ = try await first.enqueue([NewRecord(queue: queue, id: "1", payload: [1], delay: .zero)])
        try await waitUntil { try await replica.command("HLEN", "{\(name)}:m:q") == .integer(1) }
        // The replica keeps its content and does not receive the claim.
        try await replica.command("REPLICAOF", "127.0.0.1", "1")
        let old = try #require(try await first.claim(queue, limit: 1, lease: .seconds(60)).first)
        primary.kill()
        try await replica.command("REPLICAOF", "NO", "ONE")
        let second = try await replica.store(name)
        let new = try #require(try await second.claim(queue, limit: 1, lease: .seconds(60)).first)
        #expect(new.token > old.token)
        #expect(try await second.settle([Settlement(old, .done)]) == [.stale])
        #expect(try await second.settle([Settlement(new, .done)]) == [.settled])
    }

    @Test("N3: a store with a replica says that it loses writes on failover")
    func replica() async throws {
        let primary = try RedisServer("--repl-diskless-sync-delay", "0", hasPort: true)
        #expect(try await primary.store().capabilities.losesWritesOnFailover == false)
        let replica = try RedisServer("--replicaof", "127.0.0.1", "\(primary.port)", hasPort: true)
        try await waitUntil {
            guard case .bytes(let info) = try await primary.command("INFO", "replication") else { return false }
            return String(decoding: info, as: UTF8.self).contains("connected_slaves:1")
        }
        #expect(try await primary.store().capabilities.losesWritesOnFailover)
        withExtendedLifetime(replica) {}
    }

    @Test(
        "N12: updates, versions and ends are exact in 64 bits, as the definition of the updates",
        arguments: 1...4 as ClosedRange<UInt64>
    )
    func parity(seed: UInt64) async throws {
        let server = try RedisServer.shared.get()
        let recording = Lock<RecordingTransport?>(nil)
        let store = try await server.store { transport in
            let transport = RecordingTransport(transport)
            recording.withLock { $0 = transport }
            return transport
        }
        var (compared, step) = (0, 0)
        var random = SeededGenerator(seed: seed)
        // On a slow machine, more entries are gone before the test reads them.
        while step < 400 || compared <= 100 && step < 4000 {
            step += 1
            let update = Self.update(&random)
            let planted = Self.state(&random)
            let key = StoreKey(Keyspace("k"), "\(step % 7)")
            if let planted { _ = try await store.commit(.put(key, planted, .never, if: .any)) }
            // The store compares its decision with that of `apply` and fails if they differ.
            let decision = try await store.update(key, update)
            let reply = try #require(recording.withLock { $0 }?.lastReply.withLock { $0 })
            var reader = try ReplyReader(reply)
            _ = try reader.integer()
            let now = try reader.integer()
            let expected = update.apply(to: try reader.bytesOrNull(), now: now * 1000)
            guard decision.isAllowed || expected.value != nil, let value = expected.value else { continue }
            let stored = try await server.command([Array("GET"), store.rawKey(key)])
            // An entry with a short life may be gone.
            guard case .bytes(let bytes) = stored else { continue }
            let life = expected.expiresAfter.saturatingNanoseconds
            let end = min((1 << 53) - 1, (now * 1000).saturatingAdd(life).saturatingAdd(999) / 1000)
            #expect(Array(bytes[16...]) == value, "seed \(seed), step \(step): \(update)")
            #expect(bytes.bigEndian(at: 8) == UInt64(end), "seed \(seed), step \(step): \(update)")
            compared += 1
        }
        #expect(compared > 100)
    }

    private static let extremes: [Int64] = [.min, .min + 1, -1, 0, 1, 1 << 32, 1 << 53, .max - 1, .max]

    private static func number(_ random: inout SeededGenerator) -> Int64 {
        switch Int.random(in: 0..<3, using: &random) {
        case 0: extremes.randomElement(using: &random) ?? 0
        case 1: Int64.random(in: -5...100, using: &random)
        default: Int64.random(in: .min ... .max, using: &random)
        }
    }

    private static func update(_ random: inout SeededGenerator) -> AtomicUpdate {
        let length = Duration.nanoseconds(1 + Int64(number(&random).magnitude % 5_000_000_000_000))
        switch Int.random(in: 0..<3, using: &random) {
        case 0:
            let bounds = [number(&random), number(&random)].sorted()
            return .add(number(&random), within: bounds[0]...bounds[1], expiry: length)
        case 1:
            return .gcra(interval: length, burst: Int(number(&random)), cost: Int(number(&random)))
        default:
            return .fixedWindow(length: length, limit: Int(number(&random)), cost: Int(number(&random)))
        }
    }

    /// Returns a state that no update of this store has written, or `nil` to keep the present state.
    private static func state(_ random: inout SeededGenerator) -> [UInt8]? {
        switch Int.random(in: 0..<4, using: &random) {
        case 0:
            let numbers = [number(&random), number(&random)]
            return [UInt8.random(in: 1...3, using: &random)]
                + numbers.flatMap { number in (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) } }
        case 1:
            return (0..<Int.random(in: 0...33, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        default: return nil
        }
    }

    @Test("N13: 400 µs are neither zero, a second nor forever")
    func shortLives() async throws { try await RedisConformanceTests.shared.run("expiry.subSecond") }

    @Test("N14: the clock of a client changes nothing, because scripts get durations only")
    func clientClock() async throws {
        let server = try RedisServer.shared.get()
        let recording = Lock<RecordingTransport?>(nil)
        let store = try await server.store { transport in
            let transport = RecordingTransport(transport)
            recording.withLock { $0 = transport }
            return transport
        }
        _ = try await store.commit(.put(key, [1], .after(.seconds(7)), if: .any))
        _ = try await store.enqueue([NewRecord(queue: queue, id: "1", payload: [1], delay: .seconds(9))])
        _ = try await store.claim(queue, limit: 1, lease: .seconds(11))
        let now = Int64(Date().timeIntervalSince1970)
        let sent = try #require(recording.withLock { $0 }).sent.withLock { $0 }
        let numbers = sent.flatMap { $0.dropFirst(2) }
            .compactMap { Int64(String(decoding: $0, as: UTF8.self)) }
        #expect(numbers.contains(7_000_000) && numbers.contains(9_000_000) && numbers.contains(11_000_000))
        #expect(!numbers.contains { abs($0 - now) < 86_400 || abs($0 / 1_000_000 - now) < 86_400 })
    }

    @Test("N15: a server clock that was ahead delays nothing after the clock is right")
    func clockAhead() async throws {
        let server = try RedisServer.shared.get()
        let store = try await server.store()
        let name = store.configuration.name
        let ahead = Int64(Date().timeIntervalSince1970 + 3600) * 1_000_000
        try await server.command("SET", "{\(name)}:v", "\(ahead)")
        let version = try await put(store)
        #expect(version.rawValue > UInt64(ahead))
        _ = try await store.enqueue([NewRecord(queue: queue, id: "1", payload: [1], delay: .zero)])
        // The due time must be that of the right clock and not that of the version.
        #expect(try await store.claim(queue, limit: 1, lease: .seconds(1)).count == 1)
    }

    @Test("N23: all keys of a store are in one slot, whatever users put into names")
    func slots() async throws {
        let names = RedisNames(.init(name: "orders"))
        let hostile = ["{a}", "}{", "{", "}", "{orders}", "\r\n*1\r\n", "é"]
        var keys = [names.version, names.index, names.origin, names.probe]
        for text in hostile {
            keys.append(names.entry(StoreKey(Keyspace("k"), text)))
            keys += names.queues([QueueName(text)]).keys
        }
        let server = try RedisServer("--cluster-enabled", "yes", hasPort: true)
        let connection = try await eventually {
            try? await SocketConnection.open(try server.address, limit: .seconds(3)) { _ in }
        }
        var slots: Set<RedisReply> = []
        for key in keys {
            let command = [Array("CLUSTER"), Array("KEYSLOT"), key]
            slots.insert(try await connection.send(command, keys: 0..<0, limit: .seconds(3)))
        }
        #expect(slots.count == 1)
        #expect(Set(keys).count == keys.count)
    }

    @Test(
        "N25: leftovers of expired entries in the index are removed by a scan or by the store itself",
        arguments: [true, false]
    )
    func leftovers(scans: Bool) async throws {
        let server = try RedisServer.shared.get()
        var limits = ConnectionLimits()
        if !scans { limits.checkInterval = .milliseconds(10) }
        let store = try await server.store(limits: limits)
        let index = "{\(store.configuration.name)}:i"
        let lasting = (0..<5).map { StoreKey(Keyspace("m"), "\($0)") }
        _ = try await store.commit(lasting.map { .put($0, [1], .never, if: .any) })
        let life = Duration.milliseconds(scans ? 5 : 300)
        for part in 0..<40 {
            _ = try await store.commit(
                (0..<100).map { .put(StoreKey(Keyspace("k"), "\(part)-\($0)"), [1], .after(life), if: .any) }
            )
        }
        guard case .integer(let count) = try await server.command("ZCARD", index) else { return }
        #expect(count > 1000)
        if scans {
            try await waitUntil { try await store.get(StoreKey(Keyspace("k"), "39-99")) == nil }
            var after: StoreKey?
            repeat {
                let page = try await store.scan(StoreKey(Keyspace("k")), after: after, limit: 256)
                #expect(page.entries.isEmpty)
                after = page.next
            } while after != nil
        }
        try await waitUntil { try await server.command("ZCARD", index) == .integer(5) }
        #expect(try await store.get(lasting).allSatisfy { $0 != nil })
    }
}

extension RedisVersionTests {
    @Test("N25: the store removes leftovers also after the server has lost its scripts")
    func leftoversWithoutScripts() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        var limits = ConnectionLimits()
        limits.checkInterval = .milliseconds(10)
        let store = try await server.store(limits: limits)
        try await server.command("SCRIPT", "FLUSH")
        _ = try await store.commit(
            (0..<100).map { .put(StoreKey(Keyspace("k"), "\($0)"), [1], .after(.milliseconds(100)), if: .any) }
        )
        let index = "{\(store.configuration.name)}:i"
        #expect(try await server.command("ZCARD", index) == .integer(100))
        try await waitUntil { try await server.command("ZCARD", index) == .integer(0) }
    }
}

/// A transport that keeps the commands and the last reply.
final class RecordingTransport: RedisTransport {
    private let inner: any RedisTransport
    let sent = Lock<[[[UInt8]]]>([])
    let lastReply = Lock<RedisReply?>(nil)

    init(_ inner: any RedisTransport) { self.inner = inner }

    func send(_ command: [[UInt8]], keys: Range<Int>, limit: Duration) async throws(ConnectionFailure) -> RedisReply {
        sent.withLock { $0.append(command) }
        let reply = try await inner.send(command, keys: keys, limit: limit)
        lastReply.withLock { $0 = reply }
        return reply
    }

    func close() async { await inner.close() }
}
