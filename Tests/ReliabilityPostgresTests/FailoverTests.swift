#if LibPQ
import Foundation
import ReliabilityCore
import ReliabilityLibPQ
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@testable import ReliabilityPostgres

@Suite(
    "Failing PostgreSQL servers",
    .serialized,
    .serverTurn,
    .timeLimit(.minutes(10)),
    .enabled(if: PostgresServer.isEnabled)
)
struct FailoverTests {
    private static func put(_ store: PostgresStore, _ name: String, _ value: [UInt8] = [1]) async throws(StoreError)
        -> WriteResult
    {
        try await store.commit(.put(StoreKey("f", name), value, .never, if: .any))
    }

    /// Runs a test with a server of its own.
    private func withServer(
        _ settings: [String] = [],
        _ body: (PostgresServer, StoreFixture, PostgresStore) async throws -> Void
    ) async throws {
        let server = try PostgresServer(settings)
        defer { server.stop() }
        let fixture = try await StoreFixture(server)
        let store = try await fixture.store()
        try await body(server, fixture, store)
        store.close()
        await fixture.admin.close()
    }

    private func recovery(of store: PostgresStore) async throws -> Duration {
        let start = ContinuousClock.now
        try await eventually("the store works") { (try? await Self.put(store, "recovered")) != nil }
        return ContinuousClock.now - start
    }

    @Test("N17: a server that accepts no writes is left, and works within two seconds after it accepts writes")
    func readOnlyServers() async throws {
        try await withServer { server, fixture, store in
            for _ in 0..<3 {
                _ = try await Self.put(store, "a")
                try await fixture.admin.run("ALTER SYSTEM SET default_transaction_read_only = on")
                try await fixture.admin.run("SELECT pg_reload_conf()")
                try await eventually("a write is rejected") { await failure { try await Self.put(store, "a") } != nil }
                let error = await failure { try await Self.put(store, "a") }
                #expect(error?.reason == .unavailable, "\(String(describing: error))")
                let opened = await failure { try await fixture.store() }
                #expect(opened?.reason == .unavailable)
                let repair = try LibPQTransport(server.address() + " target_session_attrs=any")
                try await repair.run("ALTER SYSTEM RESET default_transaction_read_only")
                try await repair.run("SELECT pg_reload_conf()")
                await repair.close()
                #expect(try await recovery(of: store) < .seconds(2))
            }
        }
    }

    @Test("N3: a store with a replica says losesWritesOnFailover")
    func standby() async throws {
        try await withServer { server, fixture, store in
            #expect(!store.capabilities.losesWritesOnFailover)
            let standby = try PostgresServer(replicaOf: server)
            defer { standby.stop() }
            try await standby.waitUntilReady()
            try await eventually("the standby streams") {
                try await fixture.admin.text("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
                    == "1"
            }
            let later = try await fixture.store()
            #expect(later.capabilities.losesWritesOnFailover)
            later.close()
        }
    }

    @Test("N29: \"too many clients\" slows clients down, and all of them work when there is room")
    func tooManyClients() async throws {
        try await withServer(["max_connections=12"]) { server, fixture, store in
            let stores = try await withThrowingTaskGroup(of: PostgresStore?.self) { group in
                for _ in 0..<12 {
                    group.addTask { try? await fixture.store(.init(maxConnections: 4)) }
                }
                return try await group.compactMap { $0 }.reduce(into: [PostgresStore]()) { $0.append($1) }
            }
            let reasons = await withTaskGroup(of: StoreError.Reason?.self) { group in
                for store in stores {
                    for index in 0..<20 {
                        group.addTask { await failure { try await Self.put(store, "\(index)") }?.reason }
                    }
                }
                return await group.reduce(into: Set<StoreError.Reason?>()) { $0.insert($1) }
            }
            #expect(reasons.isSubset(of: [nil, .unavailable]))
            for other in stores.dropFirst() { other.close() }
            _ = try await recovery(of: store)
        }
    }

    @Test("N18, N22, N49: crashes and ended connections lose no acknowledged write and make none twice")
    func crashes() async throws {
        try await withServer { server, fixture, store in
            #expect(store.capabilities.durability == .powerLoss)
            let isOver = Flag()
            let add = AtomicUpdate.add(1, within: 0 ... .max, expiry: .seconds(3600))
            let outcomes = try await withThrowingTaskGroup(of: (key: Int, made: Int, unknown: Int, wrong: String?).self)
            { group in
                for key in 0..<8 {
                    group.addTask {
                        var (made, unknown) = (0, 0)
                        var wrong: String?
                        while !isOver.isSet {
                            do throws(StoreError) {
                                _ = try await store.update(StoreKey("n49", "\(key)"), add)
                                made += 1
                            } catch {
                                switch error.reason {
                                case .unknownOutcome: unknown += 1
                                case .unavailable: break
                                default: wrong = "\(error)"
                                }
                                await Task.yield()
                            }
                        }
                        return (key, made, unknown, wrong)
                    }
                }
                defer { isOver.set() }
                for round in 0..<6 {
                    try await eventually("the writers work") { (try? await Self.put(store, "\(round)")) != nil }
                    if round % 2 == 0 {
                        try server.crash()
                        try await server.waitUntilReady()
                    } else {
                        try await fixture.admin.run(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                        )
                    }
                    #expect(try await recovery(of: store) < .seconds(2))
                }
                isOver.set()
                return try await group.reduce(into: []) { $0.append($1) }
            }
            try await eventually("the store is ready") { store.connectionState == .ready }
            for outcome in outcomes {
                let entry = try await store.update(
                    StoreKey("n49", "\(outcome.key)"),
                    .add(0, within: 0 ... .max, expiry: .seconds(1))
                )
                #expect(outcome.wrong == nil)
                #expect((outcome.made...outcome.made + outcome.unknown).contains(Int(entry.remaining)), "\(outcome)")
            }
        }
    }

    @Test("N19: an emptied database is reported as a missing schema, and works again after a migration")
    func emptiedServers() async throws {
        try await withServer { _, fixture, store in
            _ = try await Self.put(store, "a")
            try await fixture.admin.run("DROP SCHEMA \(fixture.schema) CASCADE")
            let error = await failure { try await Self.put(store, "a") }
            #expect(error?.reason == .unavailable && error?.explanation.contains("PostgresSchema.migrate") == true)
            try await PostgresSchema.migrate(fixture.admin, schema: fixture.schema)
            _ = try await recovery(of: store)
        }
    }

    @Test("N26, N28: a stopped server accepts connections but is not ready, and no call exceeds its limit")
    func stoppedServers() async throws {
        try await withServer { server, fixture, store in
            try server.signal(SIGSTOP)
            let start = ContinuousClock.now
            let transport = try LibPQTransport(server.address())
            let error = await failure {
                var limits = ConnectionLimits()
                limits.maxAttempts = 1
                return try await PostgresStore(
                    .init(schema: fixture.schema, callTimeout: .milliseconds(500)),
                    limits: limits
                ) { transport }
            }
            #expect(error?.reason == .unavailable)
            #expect(ContinuousClock.now - start < .seconds(2))
            try server.signal(SIGCONT)
            #expect(try await recovery(of: store) < .seconds(2))
            await transport.close()
        }
    }

    @Test("N27: a store works within two seconds after the server does")
    func outages() async throws {
        try await withServer { server, _, store in
            try server.signal(SIGINT)
            try await eventually("the server is down") { await failure { try await Self.put(store, "a") } != nil }
            for _ in 0..<50 {
                let error = await failure { try await Self.put(store, "a") }
                #expect([.unavailable, .unknownOutcome, nil].contains(error?.reason))
            }
            try server.restart()
            try await server.waitUntilReady()
            #expect(try await recovery(of: store) < .seconds(2))
        }
    }

    @Test("N16, N37: a replica is rejected, and versions increase after the promotion of a stale replica")
    func promotions() async throws {
        let primary = try PostgresServer(["wal_level=replica"])
        defer { primary.stop() }
        let fixture = try await StoreFixture(primary)
        let store = try await fixture.store()
        _ = try await Self.put(store, "before")
        let replica = try PostgresServer(replicaOf: primary)
        defer { replica.stop() }
        try await replica.waitUntilReady()
        let admin = try LibPQTransport(replica.address() + " target_session_attrs=any")
        try await eventually("the replica has the schema") {
            try await admin.text("to_regclass('\(fixture.schema).entry') IS NOT NULL") == "true"
        }
        let rejected = await failure {
            var limits = ConnectionLimits()
            limits.maxAttempts = 1
            let address = replica.address()
            return try await PostgresStore(.init(schema: fixture.schema), limits: limits) {
                try LibPQTransport(address)
            }
        }
        #expect(rejected?.reason == .unavailable)
        try await admin.run("ALTER SYSTEM SET primary_conninfo = ''")
        try await admin.run("SELECT pg_reload_conf()")
        try await eventually("the replication has ended") {
            try await fixture.admin.text("SELECT count(*) FROM pg_stat_replication") == "0"
        }
        var last = StoreVersion(rawValue: 0)
        for step in 0..<300 {
            guard case .committed(let version?) = try await Self.put(store, "\(step % 3)") else { continue }
            #expect(version > last)
            last = version
        }
        store.close()
        await fixture.admin.close()
        try primary.signal(SIGQUIT)
        try await admin.run("SELECT pg_promote()")
        let address = replica.address()
        let promoted = try await PostgresStore(.init(schema: fixture.schema)) { try LibPQTransport(address) }
        guard case .committed(let version?) = try await Self.put(promoted, "0") else { return }
        #expect(version > last)
        promoted.close()
        await admin.close()
    }

    @Test(
        "N13, N14, N42: 400 µs are neither zero, a second nor forever, and a clock of a client changes nothing",
        arguments: ["expiry.subSecond", "clients.oneClock", "clients.dueTimes"]
    )
    func clocks(check: String) async throws {
        try await PostgresConformanceTests.conformance.run(check)
    }
}

@Suite(
    "PostgresStore after crashes",
    .serialized,
    .serverTurn,
    .timeLimit(.minutes(10)),
    .enabled(if: PostgresServer.isEnabled)
)
struct PostgresCrashTests {
    private static let server = try? PostgresServer()
    private static let fixtures = Lock<[ObjectIdentifier: StoreFixture]>([:])

    private static func open(_ fixture: StoreFixture) async throws -> PostgresStore {
        let store = try await fixture.store()
        fixtures.withLock { $0[ObjectIdentifier(store)] = fixture }
        return store
    }

    static let conformance = StoreConformance(
        of: PostgresStore.self,
        seeds: 2,
        advance: { try await Task.sleep(for: $0) },
        crash: { store, _ in
            let fixture = try #require(fixtures.withLock { $0[ObjectIdentifier(store)] })
            try fixture.server.crash()
            try await fixture.server.waitUntilReady()
            return try await open(fixture)
        },
        close: { $0.close() },
        makeStore: { _ in try await open(try await StoreFixture(server)) }
    )

    @Test(arguments: conformance.applicableChecks.filter { $0.id.hasPrefix("crash.") })
    func conforms(to check: StoreConformance.Check) async throws { try await Self.conformance.run(check) }
}
#endif
