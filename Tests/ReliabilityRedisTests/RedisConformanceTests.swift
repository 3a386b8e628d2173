import Foundation
import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import Testing

@testable import ReliabilityRedis

@Suite("RedisStore conformance", .enabled(if: RedisServer.isEnabled))
struct RedisConformanceTests {
    /// All checks on one server, where each store has a name of its own.
    static let shared = StoreConformance(
        of: RedisStore.self,
        seeds: 3,
        advance: { try await Task.sleep(for: $0) },
        reopen: { store, _ in
            store.close()
            return try await open(store.configuration.name)
        },
        secondClient: { store, _ in try await open(store.configuration.name) },
        loseAnswer: { store, _ in LossyTransport.transport(of: store)?.loseNextReply() },
        close: { store in store.close() },
        makeStore: { _ in try await open(UUID().uuidString) }
    )

    private static func open(_ name: String) async throws -> RedisStore {
        let latest = Lock<LossyTransport?>(nil)
        let store = try await RedisServer.shared.get().store(name) { transport in
            let lossy = LossyTransport(transport)
            latest.withLock { $0 = lossy }
            return lossy
        }
        latest.withLock { $0 }?.serve(store)
        return store
    }

    @Test("a store on a server passes the conformance checks", arguments: shared.applicableChecks)
    func conforms(to check: StoreConformance.Check) async throws { try await Self.shared.run(check) }

    /// The checks with a crash, each with a server of its own that syncs each write.
    static let crashing = StoreConformance(
        of: RedisStore.self,
        seeds: 1,
        advance: { try await Task.sleep(for: $0) },
        crash: { store, _ in
            store.close()
            let server = try #require(servers.withLock { $0[store.configuration.name] })
            try server.restart()
            return try await server.store(store.configuration.name)
        },
        close: { store in
            store.close()
            servers.withLock { _ = $0.removeValue(forKey: store.configuration.name) }
        },
        makeStore: { _ in
            let server = try RedisServer("--appendonly", "yes", "--appendfsync", "always")
            let store = try await server.store()
            servers.withLock { $0[store.configuration.name] = server }
            return store
        }
    )

    private static let servers = Lock<[String: RedisServer]>([:])

    static let crashChecks = crashing.applicableChecks.filter { check in
        !shared.applicableChecks.contains { $0.id == check.id }
    }

    @Test("a store on a server that is killed passes the conformance checks", arguments: crashChecks)
    func survivesCrash(_ check: StoreConformance.Check) async throws { try await Self.crashing.run(check) }

    @Test("there are checks with a crash")
    func hasCrashChecks() { #expect(!Self.crashChecks.isEmpty) }
}

/// A transport that can lose the reply of a command that the server has executed.
final class LossyTransport: RedisTransport {
    private static let transports = Lock<[ObjectIdentifier: LossyTransport]>([:])

    private let inner: any RedisTransport
    private let losesNext = Lock(false)

    init(_ inner: any RedisTransport) { self.inner = inner }

    /// Returns the transport of a store.
    static func transport(of store: RedisStore) -> LossyTransport? {
        transports.withLock { $0[ObjectIdentifier(store)] }
    }

    func serve(_ store: RedisStore) { Self.transports.withLock { $0[ObjectIdentifier(store)] = self } }

    func loseNextReply() { losesNext.withLock { $0 = true } }

    func send(_ command: [[UInt8]], keys: Range<Int>, limit: Duration) async throws(ConnectionFailure) -> RedisReply {
        let reply = try await inner.send(command, keys: keys, limit: limit)
        if case .error = reply { return reply }
        if losesNext.withLock({ losesNext in
            defer { losesNext = false }
            return losesNext
        }) {
            throw ConnectionFailure(isSent: true, "the test lost the reply")
        }
        return reply
    }

    func close() async { await inner.close() }
}
