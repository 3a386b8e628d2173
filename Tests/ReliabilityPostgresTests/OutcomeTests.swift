#if LibPQ
import Foundation
import ReliabilityCore
import ReliabilityLibPQ
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import ReliabilityPostgres

@Suite(
    "Outcomes of PostgreSQL",
    .serialized,
    .serverTurn,
    .timeLimit(.minutes(10)),
    .enabled(if: PostgresServer.isEnabled)
)
struct OutcomeTests {
    private let add = AtomicUpdate.add(1, within: 0...1000, expiry: .seconds(3600))
    private let read = AtomicUpdate.add(0, within: 0...1000, expiry: .seconds(3600))

    /// Runs a body while the backend of the store's only connection does not run.
    private func whileStopped(_ store: PostgresStore, _ body: () async throws -> Void) async throws {
        try await eventually("the store is ready") { store.connectionState == .ready }
        let row = try #require(try await store.commands.read("SELECT pg_backend_pid()", []).first)
        let process = try #require(row[0]?.integer(Int32.self))
        kill(process, SIGSTOP)
        defer { kill(process, SIGCONT) }
        try await body()
    }

    /// Opens a store whose only connection serves the calls of the test alone.
    private func storeWithOneConnection(_ fixture: StoreFixture) async throws -> PostgresStore {
        let address = fixture.server.address()
        var limits = ConnectionLimits()
        limits.checkInterval = .seconds(3600)
        return try await PostgresStore(.init(schema: fixture.schema, callTimeout: .seconds(2)), limits: limits) {
            try LibPQTransport(address, configuration: .init(maxConnections: 1))
        }
    }

    @Test("N8: a write without an answer is unknownOutcome, and is made once or never")
    func unknownOutcome() async throws {
        let fixture = try await StoreFixture()
        let slow = try await storeWithOneConnection(fixture)
        let store = try await fixture.store()
        let key = StoreKey("n8")
        for _ in 0..<3 {
            let before = try await store.update(key, read).remaining
            try await whileStopped(slow) {
                do {
                    let error = await failure { try await slow.update(key, add) }
                    #expect(error?.reason == .unknownOutcome, "\(String(describing: error))")
                }
            }
            // The server makes or abandons the write when it runs again.
            try await eventually("the backend has ended") {
                try await fixture.admin.text(
                    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%\(fixture.schema)%' AND state = 'active' AND pid <> pg_backend_pid()"
                ) == "0"
            }
            let after = try await store.update(key, read).remaining
            #expect((before...before + 1).contains(after))
        }
        let lossy = LossyTransport(try LibPQTransport(fixture.server.address()))
        let loser = try await fixture.store(over: lossy)
        let before = try await store.update(key, read).remaining
        lossy.loseNextAnswer()
        do {
            let error = await failure { try await loser.update(key, add) }
            #expect(error?.reason == .unknownOutcome, "\(String(describing: error))")
        }
        #expect(try await store.update(key, read).remaining == before + 1)
        for store in [slow, store, loser] { store.close() }
        try await fixture.close()
    }

    @Test("N9: a reply that comes late reaches no other call")
    func lateReplies() async throws {
        let fixture = try await StoreFixture()
        let store = try await storeWithOneConnection(fixture)
        for name in ["a", "b"] {
            _ = try await store.commit(.put(StoreKey("n9", name), Array(name.utf8), .never, if: .any)) as WriteResult
        }
        for _ in 0..<5 {
            try await whileStopped(store) {
                await #expect(throws: StoreError.self) { try await store.get(StoreKey("n9", "a")) }
            }
            try await eventually("the store is ready") { store.connectionState == .ready }
            #expect(try await store.get(StoreKey("n9", "b"))?.value == Array("b".utf8))
        }
        store.close()
        try await fixture.close()
    }

    @Test("N11: a function that fails in the middle leaves nothing")
    func failures() async throws {
        try await withStore { store, fixture in
            try await fixture.admin.run(
                """
                CREATE FUNCTION \(fixture.schema).fail() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN IF new.key = '\\x03656e6403656e64' THEN RAISE EXCEPTION 'failed'; END IF; RETURN new; END $$
                """
            )
            try await fixture.admin.run(
                "CREATE TRIGGER fail BEFORE INSERT ON \(fixture.schema).entry FOR EACH ROW EXECUTE FUNCTION \(fixture.schema).fail()"
            )
            let keys = [StoreKey("a"), StoreKey(encoded: [3, 0x65, 0x6E, 0x64, 3, 0x65, 0x6E, 0x64])]
            let writes = keys.map { StoreWrite.put($0, [1], .never, if: .any) }
            let record = NewRecord(queue: "q", id: "a", payload: [1])
            do {
                let error = await failure { try await store.commit(writes, enqueueing: [record]) }
                #expect(error?.reason == .failed, "\(String(describing: error))")
            }
            #expect(try await store.get(keys) == [nil, nil])
            #expect(try await store.counts("q").pending == 0)
        }
    }

    @Test("N44: the limits of the server end a call before the client's limit, and nothing has changed")
    func serverLimits() async throws {
        let limits = LibPQTransport.Configuration.ServerLimits(statement: .milliseconds(400), lock: .milliseconds(200))
        try await withStore(.init(serverLimits: limits)) { store, fixture in
            let key = StoreKey("n44")
            try await fixture.admin.withSession { session in
                try await session.run("BEGIN")
                try await session.run(
                    "SELECT pg_advisory_xact_lock(\(fixture.schema).lock_class_v1(), \(KeyLocks.number(key.encoded)))"
                )
                do {
                    let error = await failure { try await store.update(key, add) }
                    #expect(error?.explanation.contains("55P03") == true, "\(String(describing: error))")
                }
                try await session.run("ROLLBACK")
            }
            try await fixture.admin.run(
                "CREATE FUNCTION \(fixture.schema).slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2); RETURN new; END $$"
            )
            try await fixture.admin.run(
                "CREATE TRIGGER slow BEFORE INSERT ON \(fixture.schema).entry FOR EACH ROW EXECUTE FUNCTION \(fixture.schema).slow()"
            )
            do {
                let error = await failure { try await store.update(key, add) }
                #expect(
                    error?.reason == .unavailable && error?.explanation.contains("57014") == true,
                    "\(String(describing: error))"
                )
            }
            try await fixture.admin.run("DROP TRIGGER slow ON \(fixture.schema).entry")
            #expect(try await store.get(key) == nil)
        }
    }

    @Test("N48: the store leaves no transaction open, also after cancelled calls")
    func openTransactions() async throws {
        let fixture = try await StoreFixture()
        let name = "n48_\(fixture.schema)"
        let transport = try LibPQTransport(fixture.server.address() + " application_name=\(name)")
        let store = try await fixture.store(over: transport)
        var random = SeededGenerator(seed: 48)
        await withTaskGroup { group in
            for step in 0..<200 {
                let isCancelled = Bool.random(using: &random)
                group.addTask {
                    let call = Task { try? await store.update(StoreKey("n48", "\(step % 5)"), add) }
                    if isCancelled { call.cancel() }
                    _ = await call.value
                }
            }
        }
        try await eventually("no session of the store is in a transaction") {
            try await fixture.admin.text(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = '\(name)' AND xact_start IS NOT NULL"
            ) == "0"
        }
        store.close()
        try await fixture.close()
    }
}
#endif
