#if LibPQ
import Outbox
import ReliabilityCore
import ReliabilityLibPQ
import ReliabilityStore
import Testing

@testable import ReliabilityPostgres

@Suite(
    "Openings of a PostgresStore",
    .serialized,
    .serverTurn,
    .timeLimit(.minutes(10)),
    .enabled(if: PostgresServer.isEnabled)
)
struct OpeningTests {
    /// The privileges on the page for operators.
    private static func grants(_ schema: String, _ role: String) -> [String] {
        [
            "GRANT USAGE ON SCHEMA \(schema) TO \(role)", "GRANT SELECT ON \(schema).meta TO \(role)",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON \(schema).entry, \(schema).record TO \(role)",
            "GRANT USAGE ON SEQUENCE \(schema).version_seq TO \(role)",
        ]
    }

    @Test("N24: missing privileges are found when the store is opened, and the least privileges are sufficient")
    func privileges() async throws {
        let fixture = try await StoreFixture()
        let role = "role_\(fixture.schema)"
        try await fixture.admin.run("CREATE ROLE \(role) LOGIN")
        for grant in Self.grants(fixture.schema, role) {
            let error = await failure { try await fixture.store(user: role) }
            #expect(error?.reason == .failed, "before \(grant)")
            #expect(error?.explanation.contains("privilege") == true, "\(String(describing: error))")
            try await fixture.admin.run(grant)
        }
        let store = try await fixture.store(user: role)
        let key = StoreKey("n24")
        let record = NewRecord(queue: "q", id: "a", payload: [1])
        _ = try await store.commit([.put(key, [1], .after(.milliseconds(1)), if: .any)], enqueueing: [record])
        _ = try await store.update(StoreKey("u"), .add(1, within: 0...9, expiry: .seconds(9)))
        let claims = try await store.claim("q", limit: 9, lease: .seconds(9))
        #expect(try await store.settle(claims.map { Settlement($0, .done) }) == [.settled])
        _ = try await store.scan(key, after: nil, limit: 9)
        try await eventually("the entry has expired") { try await store.get(key) == nil }
        let sweep = ExpirySweep(store.statements, timeout: .seconds(3))
        await sweep.run(try LibPQTransport(fixture.server.address(user: role)))
        #expect(try await fixture.admin.text("SELECT count(*) FROM \(fixture.schema).entry") == "1")
        store.close()
        try await fixture.admin.run("REVOKE UPDATE ON \(fixture.schema).record FROM \(role)")
        let error = await failure { try await fixture.store(user: role) }
        #expect(error?.explanation.contains("UPDATE on record") == true)
        try await fixture.close()
        let admin = try await fixture.server.connect()
        try await admin.run("DROP ROLE \(role)")
        await admin.close()
    }

    @Test("a relay waits while a privilege is missing, and delivers when the privilege is granted again")
    func revokedPrivileges() async throws {
        let fixture = try await StoreFixture()
        let role = "role_\(fixture.schema)"
        try await fixture.admin.run("CREATE ROLE \(role) LOGIN")
        for grant in Self.grants(fixture.schema, role) { try await fixture.admin.run(grant) }
        let store = try await fixture.store(user: role)
        let queue = OutboxQueue("q", store: store, storeFailure: .failClosed())
        let stopped = Flag()
        let delivered = Flag()
        let observer: @Sendable (OutboxEvent) -> Void = { if case .stopped = $0 { stopped.set() } }
        let relay = OutboxRelay(.init(pollInterval: .milliseconds(10)), queue: queue, observer: observer) { _ in
            delivered.set()
        }
        let relaying = Task { await relay.run() }
        try await fixture.admin.run("REVOKE UPDATE ON \(fixture.schema).record FROM \(role)")
        try await eventually("a claim is rejected") {
            await failure { try await store.claim("q", limit: 1, lease: .seconds(9)) } != nil
        }
        for _ in 0..<5 {
            let error = await failure { try await store.claim("q", limit: 1, lease: .seconds(9)) }
            #expect(error?.reason == .unavailable && error?.explanation.contains("privilege") == true)
        }
        try await queue.commit([], sending: [OutboxMessage(id: "a", topic: "t", payload: [1])])
        try await fixture.admin.run("GRANT UPDATE ON \(fixture.schema).record TO \(role)")
        try await eventually("the message is delivered") { delivered.isSet }
        #expect(!stopped.isSet)
        relay.drain()
        await relaying.value
        store.close()
        try await fixture.close()
        let admin = try await fixture.server.connect()
        try await admin.run("DROP ROLE \(role)")
        await admin.close()
    }

    @Test("a store never migrates by itself, and a schema that needs a later library is rejected")
    func versions() async throws {
        let fixture = try await StoreFixture(migrates: false)
        let missing = await failure { try await fixture.store() }
        #expect(missing?.reason == .failed && missing?.explanation.contains("PostgresSchema.migrate") == true)
        try await PostgresSchema.migrate(fixture.admin, schema: fixture.schema)
        try await PostgresSchema.migrate(fixture.admin, schema: fixture.schema)
        (try await fixture.store()).close()
        try await fixture.admin.run("UPDATE \(fixture.schema).meta SET schema_version = 7, minimum_client = 1")
        (try await fixture.store()).close()
        try await fixture.admin.run("UPDATE \(fixture.schema).meta SET minimum_client = 2")
        #expect(await failure { try await fixture.store() }?.reason == .unsupportedFormat(7))
        try await fixture.admin.run("UPDATE \(fixture.schema).meta SET schema_version = 0, minimum_client = 0")
        #expect(await failure { try await fixture.store() }?.reason == .failed)
        try await fixture.close()
    }

    @Test("the text of the schema has the same effect as the migration, and its rollback removes the schema")
    func texts() async throws {
        let fixture = try await StoreFixture(migrates: false)
        for _ in 0..<2 { try await fixture.admin.run(try PostgresSchema.sql(schema: fixture.schema)) }
        let store = try await fixture.store()
        guard case .committed(let before?) = try await store.commit(.put(StoreKey("a"), [1], .never, if: .any)) else {
            return
        }
        try await fixture.admin.run(try PostgresSchema.sqlAfterRestore(schema: fixture.schema))
        guard case .committed(let after?) = try await store.commit(.put(StoreKey("a"), [1], .never, if: .any)) else {
            return
        }
        #expect(after.rawValue > before.rawValue + (1 << 39))
        store.close()
        let rollback = try PostgresSchema.rollbackSQL(version: 1, schema: fixture.schema).split(separator: ";\n")
        // The statements are one transaction.
        try await fixture.admin.withSession { session in
            for statement in rollback { try await session.run(String(statement)) }
        }
        #expect(try await fixture.admin.text("to_regnamespace('\(fixture.schema)') IS NULL") == "true")
        try await fixture.close()
    }

    @Test("N43: a migration under load stops no client longer than two seconds, and old and new clients work together")
    func migrationUnderLoad() async throws {
        try await withStore { store, fixture in
            let second = SchemaStep(version: 2, minimumClient: 1) { s in
                [
                    "ALTER TABLE \(s).entry ADD COLUMN note bytea",
                    "CREATE FUNCTION \(s).get_v2() RETURNS integer LANGUAGE sql AS 'SELECT 2'",
                ]
            } rollback: { s in
                ["DROP FUNCTION \(s).get_v2()", "ALTER TABLE \(s).entry DROP COLUMN note"]
            }
            let isOver = Flag()
            let longest = try await withThrowingTaskGroup(of: Duration.self) { group in
                for task in 0..<4 {
                    group.addTask {
                        var longest = Duration.zero
                        while !isOver.isSet {
                            let start = ContinuousClock.now
                            _ =
                                try await store.commit(.put(StoreKey("n43", "\(task)"), [1], .never, if: .any))
                                as WriteResult
                            _ = try await store.get(StoreKey("n43", "\(task)"))
                            longest = max(longest, ContinuousClock.now - start)
                        }
                        return longest
                    }
                }
                defer { isOver.set() }
                try await PostgresSchema.migrate(
                    fixture.admin,
                    schema: fixture.schema,
                    steps: SchemaStep.all + [second]
                )
                let other = try await fixture.store()
                _ = try await other.commit(.put(StoreKey("n43"), [1], .never, if: .any)) as WriteResult
                other.close()
                isOver.set()
                return try await group.reduce(.zero, max)
            }
            #expect(longest < .seconds(2))
            #expect(try await fixture.admin.text("SELECT schema_version FROM \(fixture.schema).meta") == "2")
        }
    }

    @Test("N40, N45: no function notifies, and no function has a subtransaction")
    func functions() async throws {
        try await withStore { _, fixture in
            let text = try await fixture.admin.text(
                "SELECT string_agg(prosrc, ' ') FROM pg_proc WHERE pronamespace = '\(fixture.schema)'::regnamespace"
            )
            let words = Set(text.uppercased().split { !$0.isLetter && $0 != "_" })
            #expect(words.contains("SELECT"))
            for word in ["NOTIFY", "PG_NOTIFY", "SAVEPOINT", "EXECUTE"] { #expect(!words.contains(Substring(word))) }
            // `RAISE EXCEPTION` is allowed, and a block with a handler is not.
            #expect(!text.contains("WHEN OTHERS") && !text.contains("EXCEPTION WHEN"))
        }
    }

    @Test("a name that is a word of SQL is a valid schema")
    func reservedNames() async throws {
        let server = try #require(PostgresServer.shared)
        let admin = try await server.connect()
        try await PostgresSchema.migrate(admin, schema: "select")
        let address = server.address()
        let store = try await PostgresStore(.init(schema: "select")) { try LibPQTransport(address) }
        _ = try await store.commit([
            .put(StoreKey("a"), [1], .keep, if: .any), .put(StoreKey("b"), [1], .keep, if: .any),
        ])
        #expect(try await store.scan(StoreKey("a"), after: nil, limit: 1).entries.count == 1)
        store.close()
        try await admin.run("DROP SCHEMA \"select\" CASCADE")
        await admin.close()
    }

    @Test(
        "credentials are in no error and no description",
        arguments: [
            "postgres://ada:hunter2@/db?host=/nowhere", "host=/nowhere user=ada password=hunter2",
            "postgres://ada:hunter2@host:port:port/x", "password=hunter2 x",
        ]
    )
    func credentials(address: String) async {
        do {
            let transport = try LibPQTransport(address)
            var texts = ["\(transport)", String(reflecting: transport)]
            dump(transport, to: &texts[0])
            do throws(ConnectionFailure) { _ = try await transport.query("SELECT 1", [], limit: .seconds(1)) } catch {
                texts += ["\(error)", String(reflecting: error)]
            }
            for text in texts { #expect(!text.contains("hunter2") && !text.contains("ada")) }
            await transport.close()
        } catch {
            #expect(error.reason == .invalid && !String(reflecting: error).contains("hunter2"))
        }
    }
}
#endif
