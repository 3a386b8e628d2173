import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import ReliabilityRedis

@Suite("Errors of a Redis server")
struct RedisErrorTests {
    /// Replies and failures of a server, with the reason for a write and whether three of them make the server not ready.
    static let table: [(RedisReply, StoreError.Reason, isEvidence: Bool)] = [
        (.error("OOM command not allowed"), .capacityExceeded, false),
        (.error("MISCONF Errors writing to the AOF file: No space left on device"), .diskFull, false),
        (.error("MISCONF Redis is configured to save RDB snapshots"), .unavailable, false),
        (.error("BUSY Redis is busy running a script"), .unavailable, true),
        (.error("LOADING Redis is loading the dataset in memory"), .unavailable, true),
        (.error("CLUSTERDOWN The cluster is down"), .unavailable, true),
        (.error("MASTERDOWN Link with MASTER is down"), .unavailable, true),
        (.error("TRYAGAIN Multiple keys request"), .unavailable, true),
        (.error("READONLY You can't write against a read only replica."), .unavailable, true),
        (.error("MOVED 1234 127.0.0.1:7001"), .unavailable, true),
        (.error("NOREPLICAS Not enough good replicas to write."), .unavailable, false),
        (.error("NOPERM this user has no permissions"), .unavailable, false),
        (.error("ERR The user executing the script can't run this command or subcommand"), .unavailable, false),
        (.error("NOAUTH Authentication required."), .unavailable, true),
        (.error("WRONGPASS invalid username-password pair or user is disabled."), .unavailable, true),
        (.error("WRONGTYPE Operation against a key"), .failed, false),
        (.error("ERR unknown"), .failed, false),
        (.integer(3), .failed, false),
        (.array([.integer(1)]), .failed, false),
        (.array([.integer(9), .integer(1), .array([]), .array([])]), .failed, false),
        (.null, .failed, false),
    ]

    private func open(_ server: ScriptedServer) async throws -> RedisStore {
        try await RedisStore(
            .init(name: "a"),
            server: "the server",
            timeSource: TimeSource(ManualClock()),
            observer: nil
        ) { _ in server }
    }

    @Test("N32: only failures of the server count as its failures", arguments: table.indices)
    func replies(index: Int) async throws {
        let (reply, reason, isEvidence) = Self.table[index]
        let server = ScriptedServer { reply }
        let store = try await open(server)
        #expect(await write(store) == reason)
        for _ in 0..<2 { _ = await write(store) }
        // A failure of the server leads to a check of the server or to another connection.
        #expect((server.checks > 1 || store.connectionState != .ready) == isEvidence, "\(reply)")
    }

    @Test("N32: a conflict and a call that exceeds a limit of the store are no failures of the server")
    func noFailures() async throws {
        let server = ScriptedServer { .array([.integer(0), .integer(9), .integer(0), .null]) }
        let store = try await open(server)
        for _ in 0..<5 { #expect(await write(store) == nil) }
        for _ in 0..<5 { #expect(await write(store, bytes: 2 << 20) == .invalid) }
        #expect(server.checks == 1)
        #expect(store.connectionState == .ready)
    }

    @Test("a server that loads its data is unavailable, because its settings are not those of its use")
    func loading() async throws {
        let text = "redis_version:7.0.15\r\nrole:master\r\nloading:1\r\naof_enabled:0\r\n"
        let check = RedisServerCheck(names: RedisNames(.init(name: "a")), limit: .seconds(1), stated: nil)
        let error = await #expect(throws: StoreError.self) {
            try await check.facts(SameReply(reply: .bytes(Array(text.utf8))))
        }
        #expect(error?.reason == .unavailable)
    }

    @Test("a reply lost after sending is an unknown outcome of a write and unavailable for a read")
    func lost() async throws {
        let store = try await open(
            ScriptedServer { () throws(ConnectionFailure) in throw ConnectionFailure(isSent: true, "lost") }
        )
        #expect(await write(store) == .unknownOutcome)
        #expect(await read(store) == .unavailable)
    }

    @Test("a command that was not sent is unavailable")
    func notSent() async throws {
        let store = try await open(
            ScriptedServer { () throws(ConnectionFailure) in throw ConnectionFailure(isSent: false, "refused") }
        )
        #expect(await write(store) == .unavailable)
        #expect(await read(store) == .unavailable)
    }

    private func write(_ store: RedisStore, bytes: Int = 1) async -> StoreError.Reason? {
        await store.reason { store async throws(StoreError) in
            let value = Array(repeating: UInt8(1), count: bytes)
            _ = try await store.commit(.put(StoreKey(Keyspace("k"), "a"), value, .never, if: .any))
        }
    }

    private func read(_ store: RedisStore) async -> StoreError.Reason? {
        await store.reason { store async throws(StoreError) in _ = try await store.get([StoreKey(Keyspace("k"), "a")]) }
    }
}

/// A server that gives the same reply to each command.
private struct SameReply: RedisTransport {
    let reply: RedisReply

    func send(_ command: [[UInt8]], keys: Range<Int>, limit: Duration) async throws(ConnectionFailure) -> RedisReply {
        reply
    }

    func close() async {}
}

/// A server that passes each check and answers each script with a scripted reply.
private final class ScriptedServer: RedisTransport {
    private let count = Lock(0)
    private let reply: @Sendable () throws(ConnectionFailure) -> RedisReply

    init(_ reply: @escaping @Sendable () throws(ConnectionFailure) -> RedisReply) { self.reply = reply }

    /// The number of checks.
    var checks: Int { count.withLock { $0 } }

    func send(_ command: [[UInt8]], keys: Range<Int>, limit: Duration) async throws(ConnectionFailure) -> RedisReply {
        switch command.first.map({ String(decoding: $0, as: UTF8.self) }) {
        case "INFO":
            count.withLock { $0 += 1 }
            return .bytes(Array("redis_version:7.0.0\r\nrole:master\r\naof_enabled:0\r\n".utf8))
        case "GET", "SCRIPT": return .bytes([1])
        case "EVAL": return .integer(1)
        default: return try reply()
        }
    }

    func close() async {}
}
