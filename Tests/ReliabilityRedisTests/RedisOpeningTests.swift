import Foundation
import ReliabilityCore
import ReliabilityStore
import Testing

@testable import ReliabilityRedis

@Suite("Opening a RedisStore", .enabled(if: RedisServer.isEnabled))
struct RedisOpeningTests {
    private static let secret = "s3cr3t-word"

    /// The rights of the page Redis.
    private static let leastRights = [
        "~{shop}:*", "-@all", "+auth", "+info", "+time", "+eval", "+evalsha", "+script|load", "+get", "+mget", "+set",
        "+setrange", "+del", "+exists", "+pexpireat", "+persist", "+hget", "+hmget", "+hset", "+hdel", "+zadd", "+zrem",
        "+zrange", "+zcard",
    ]

    private func open(_ server: RedisServer, _ credentials: String, database: Int = 0) async throws -> RedisStore {
        try await RedisStore(
            .init(name: "shop"),
            address: try RedisAddress("unix://\(credentials)@\(server.socketPath)?db=\(database)")
        )
    }

    @Test(
        "N4: an evicting server is rejected at the opening, with the remedy",
        arguments: ["allkeys-lru", "volatile-ttl"]
    )
    func eviction(policy: String) async throws {
        let server = try RedisServer("--maxmemory", "100mb", "--maxmemory-policy", policy)
        try await server.command("PING")
        let error = await openingError { try await server.store() }
        #expect(error?.reason == .failed)
        #expect(error?.explanation.contains("set maxmemory-policy to noeviction") == true)
    }

    @Test("N4: a store notices that the server begins to evict, and that the server stops")
    func evictionLater() async throws {
        let server = try RedisServer("--maxmemory", "100mb")
        try await server.command("PING")
        let states = Lock<[StoreConnectionState]>([])
        var limits = ConnectionLimits()
        limits.checkInterval = .milliseconds(20)
        limits.probeInterval = .milliseconds(20)
        let store = try await server.store(limits: limits) { event in
            if case .changed(_, let state, _) = event { states.withLock { $0.append(state) } }
        }
        try await server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        try await waitUntil { store.connectionState == .degraded }
        #expect(
            await store.reason { store async throws(StoreError) in _ = try await store.get([StoreKey(Keyspace("k"))]) }
                == .unavailable
        )
        try await server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        try await waitUntil { store.connectionState == .ready }
        _ = try await store.get([StoreKey(Keyspace("k"))])
        try await waitUntil { states.withLock { $0 } == [.ready, .degraded, .ready] }
    }

    @Test("N16: a replica is not ready, and nothing is read from the replica")
    func replica() async throws {
        let replica = try RedisServer("--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", "yes")
        try await replica.command("PING")
        var limits = ConnectionLimits()
        limits.maxAttempts = 2
        let error = await openingError { try await replica.store(limits: limits) }
        #expect(error?.reason == .unavailable)
        #expect(error?.explanation.contains("replica") == true)
    }

    @Test("N24: the least rights of the page suffice for all calls")
    func leastRights() async throws {
        let server = try RedisServer()
        try await server.command(["ACL", "SETUSER", "shop", "on", ">\(Self.secret)"] + Self.leastRights)
        let store = try await open(server, "shop:\(Self.secret)")
        let (key, queue) = (StoreKey(Keyspace("k"), "a"), QueueName("q"))
        _ = try await store.commit(
            [.put(key, [1], .after(.seconds(9)), if: .any)],
            enqueueing: [NewRecord(queue: queue, id: "1", payload: [1])]
        )
        _ = try await store.commit(.touch(key, .never, if: .any))
        _ = try await store.commit(.touch(key, .after(.seconds(9)), if: .any))
        _ = try await store.update(StoreKey(Keyspace("k"), "b"), .gcra(interval: .seconds(1), burst: 1, cost: 1))
        _ = try await store.scan(StoreKey(Keyspace("k")), after: nil, limit: 10)
        _ = try await store.nextDue(queue)
        _ = try await store.page(queue, .pending, after: nil, limit: 10)
        for action in [Settlement.Action.deadLetter(reason: "r"), .redrive, .done] {
            let claims = try await store.claim(queue, limit: 1, lease: .seconds(9))
            let token =
                if let claim = claims.first { claim.token } else {
                    try #require(try await store.page(queue, .deadLetter, after: nil, limit: 1).records.first).version
                }
            #expect(try await store.settle([Settlement(queue: queue, id: "1", token: token, action)]) == [.settled])
        }
        _ = try await store.commit(.delete(key, if: .any))
    }

    @Test(
        "N24: missing rights are found at the opening",
        arguments: [
            "+zadd", "+hset", "+setrange", "+persist", "+del", "+evalsha", "+script|load", "+info", "~{shop}:*",
        ]
    )
    func missingRight(right: String) async throws {
        let server = try RedisServer()
        let rights = Self.leastRights.filter { $0 != right && !(right == "+evalsha" && $0 == "+eval") }
        try await server.command(["ACL", "SETUSER", "shop", "on", ">\(Self.secret)"] + rights)
        let error = await openingError { try await open(server, "shop:\(Self.secret)") }
        #expect(error?.reason == .failed)
        #expect(error?.explanation.contains("NOPERM") == true)
    }

    @Test("a right that a user loses is unavailable, and calls work when the user has the right again")
    func revokedRight() async throws {
        let server = try RedisServer()
        try await server.command(["ACL", "SETUSER", "shop", "on", ">\(Self.secret)"] + Self.leastRights)
        let store = try await open(server, "shop:\(Self.secret)")
        let queue = QueueName("q")
        _ = try await store.enqueue([NewRecord(queue: queue, id: "1", payload: [1])])
        try await server.command("ACL", "SETUSER", "shop", "-zadd")
        for _ in 0..<5 {
            let error = await openingError {
                _ = try await store.claim(queue, limit: 1, lease: .seconds(9))
                return store
            }
            #expect(error?.reason == .unavailable)
            #expect(error?.explanation.contains("NOPERM") == true)
        }
        try await server.command("ACL", "SETUSER", "shop", "+zadd")
        #expect(try await store.claim(queue, limit: 1, lease: .seconds(9)).map(\.id) == ["1"])
    }

    @Test("a password that changes is unavailable, and calls work when the old password is valid again")
    func rotatedPassword() async throws {
        let server = try RedisServer("--requirepass", "right")
        try await waitUntil { (try? await server.command("PING")) != nil }
        let store = try await open(server, ":right")
        let operations = try await SocketConnection.open(
            try RedisAddress("unix://:right@\(server.socketPath)?db=0"),
            limit: .seconds(9)
        ) { _ in }
        func run(_ parts: String...) async throws {
            _ = try await operations.send(parts.map { Array($0.utf8) }, keys: 0..<0, limit: .seconds(9))
        }
        try await run("CONFIG", "SET", "requirepass", "other")
        try await run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        try await waitUntil { store.connectionState == .degraded }
        let key = StoreKey(Keyspace("k"))
        #expect(
            await store.reason { store async throws(StoreError) in _ = try await store.get([key]) } == .unavailable
        )
        try await run("CONFIG", "SET", "requirepass", "right")
        try await waitUntil { store.connectionState == .ready }
        _ = try await store.get([key])
        operations.end("the test has ended")
    }

    @Test("wrong credentials are one clear error at the opening, without the credentials")
    func credentials() async throws {
        let server = try RedisServer("--requirepass", "right")
        try await waitUntil { (try? await server.command("PING")) != nil }
        for credentials in ["\(Self.secret)-user:\(Self.secret)", ":\(Self.secret)"] {
            let error = await openingError { try await open(server, credentials) }
            #expect(error?.reason == .failed)
            #expect(error?.explanation.contains("(WRONGPASS); correct the address or the user") == true)
            #expect(
                error?.explanation.hasPrefix("the Redis server at \(server.socketPath) database 0 cannot be used: ")
                    == true
            )
            #expect(!"\(String(describing: error)) \(String(reflecting: error))".contains(Self.secret))
        }
        let error = await openingError { try await server.store() }
        #expect(error?.explanation.contains("(NOAUTH); add the password") == true)
        try await open(server, ":right").close()
    }

    @Test("a database that does not exist is one clear error at the opening")
    func database() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        let address = try RedisAddress("unix://\(server.socketPath)?db=99")
        let error = await openingError { try await RedisStore(.init(name: "a"), address: address) }
        #expect(
            error?.explanation
                == "the Redis server at \(address) cannot be used: the server has no database 99; correct the number of the database"
        )
    }

    @Test("stores with the same name in two databases are apart")
    func databases() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        let key = StoreKey(Keyspace("k"), "a")
        let first = try await RedisStore(
            .init(name: "a"),
            address: try RedisAddress("unix://\(server.socketPath)?db=1")
        )
        let second = try await RedisStore(
            .init(name: "a"),
            address: try RedisAddress("unix://\(server.socketPath)?db=2")
        )
        _ = try await first.commit(.put(key, [1], .never, if: .absent))
        #expect(try await second.get(key) == nil)
        #expect(try await first.get(key)?.value == [1])
    }

    @Test("a port without a server is one clear error at the opening, after the configured attempts")
    func refused() async throws {
        var limits = ConnectionLimits()
        limits.maxAttempts = 3
        limits.maxDelay = .milliseconds(5)
        let address = try RedisAddress("redis://127.0.0.1:1/0")
        let error = await openingError {
            try await RedisStore(
                .init(name: "a"),
                server: "the Redis server at \(address)",
                limits: limits,
                observer: nil
            ) {
                onLoss throws(StoreError) in
                try await SocketConnection.open(address, limit: .seconds(3), onLoss: onLoss)
            }
        }
        #expect(error?.reason == .unavailable)
        #expect(
            error?.explanation == """
                the Redis server at 127.0.0.1:1/0 cannot be used: the server refused the connection; start the server or \
                correct the address
                """
        )
    }

    @Test("a store over TCP serves calls")
    func tcp() async throws {
        let server = try RedisServer(hasPort: true)
        try await server.command("PING")
        for host in ["127.0.0.1", "localhost"] {
            let address = try RedisAddress("redis://\(host):\(server.port)/0")
            let store = try await RedisStore(.init(name: "a"), address: address)
            _ = try await store.commit(.put(StoreKey(Keyspace("k"), "a"), [1], .never, if: .any))
        }
    }

    @Test("a store that states its durability opens without a server, and is ready when the server is there")
    func withoutServer() async throws {
        let server = try RedisServer("--appendonly", "yes", "--appendfsync", "no")
        try await server.command("PING")
        server.kill()
        let store = try await server.store(configure: { $0.durability = .processCrash })
        let key = StoreKey(Keyspace("k"), "a")
        #expect(await store.reason { store async throws(StoreError) in _ = try await store.get(key) } == .unavailable)
        #expect(store.capabilities.durability == .processCrash)
        try server.start()
        try await waitUntil { store.connectionState == .ready }
        #expect(try await store.get(key) == nil)
    }

    @Test("a server with less durability than stated is rejected")
    func durability() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        let error = await openingError { try await server.store(configure: { $0.durability = .processCrash }) }
        #expect(error?.reason == .failed)
        #expect(error?.explanation.contains("set appendonly and appendfsync") == true)
    }

    @Test(
        "the durability is that of the server's settings",
        arguments: [
            ([], StoreCapabilities.Durability.none), (["--appendonly", "yes"], .none),
            (["--appendonly", "yes", "--appendfsync", "no"], .processCrash),
            (["--appendonly", "yes", "--appendfsync", "always"], .powerLoss),
        ]
    )
    func readsDurability(settings: [String], durability: StoreCapabilities.Durability) async throws {
        let server = try RedisServer(settings)
        try await server.command("PING")
        #expect(try await server.store().capabilities.durability == durability)
    }

    @Test("a server of an old version is one clear error at the opening")
    func version() async throws {
        let server = try RedisServer.shared.get()
        let error = await openingError {
            try await server.store { transport in
                AnsweringTransport(transport) { command in
                    command.first == Array("INFO") ? .bytes(Array("redis_version:6.2.7\r\nrole:master\r\n")) : nil
                }
            }
        }
        #expect(
            error?.explanation
                == "the Redis server cannot be used: the server must be Redis 7 or Valkey 8 or later (is 6)"
        )
    }

    @Test("the cancellation of an opening ends the opening")
    func cancelled() async throws {
        let address = try RedisAddress("redis://127.0.0.1:1/0")
        let task = Task { try await RedisStore(.init(name: "a"), address: address) }
        task.cancel()
        let error = await openingError { try await task.value }
        #expect(error?.reason == .cancelled)
    }

    @Test("a configuration with a bad name ends the process and prints the name's problem")
    func badName() async throws {
        #expect(throws: ConfigurationError.self) { try RedisStore.Configuration(name: "a}b").validate() }
        #expect(throws: ConfigurationError.self) { try RedisStore.Configuration(name: "").validate() }
        #expect(throws: ConfigurationError.self) { try RedisStore.Configuration(name: "a b").validate() }
        #expect(throws: Never.self) { try RedisStore.Configuration(name: "orders-1").validate() }
    }
}

/// A transport that answers some commands instead of the server.
struct AnsweringTransport: RedisTransport {
    private let inner: any RedisTransport
    private let answer: @Sendable ([[UInt8]]) -> RedisReply?

    init(_ inner: any RedisTransport, _ answer: @escaping @Sendable ([[UInt8]]) -> RedisReply?) {
        (self.inner, self.answer) = (inner, answer)
    }

    func send(_ command: [[UInt8]], keys: Range<Int>, limit: Duration) async throws(ConnectionFailure) -> RedisReply {
        if let reply = answer(command) { return reply }
        return try await inner.send(command, keys: keys, limit: limit)
    }

    func close() async { await inner.close() }
}
