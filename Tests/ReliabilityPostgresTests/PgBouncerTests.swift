#if LibPQ
import Outbox
import ReliabilityCore
import ReliabilityLibPQ
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@testable import ReliabilityPostgres

@Suite(
    "PostgresStore behind PgBouncer in transaction mode",
    .serverTurn,
    .timeLimit(.minutes(10)),
    .enabled(if: PostgresServer.isEnabled)
)
struct PgBouncerTests {
    private static let server = try? PostgresServer([
        "statement_timeout=10s", "lock_timeout=5s", "idle_in_transaction_session_timeout=60s",
    ])
    private static let bouncer = server.flatMap { try? PgBouncer($0) }
    private static let fixtures = Lock<[ObjectIdentifier: StoreFixture]>([:])

    private static func transport(_ count: Int = 4) async throws -> LibPQTransport {
        let bouncer = try #require(bouncer)
        try await bouncer.waitUntilReady()
        return try LibPQTransport(
            bouncer.address(),
            configuration: .init(maxConnections: count, serverLimits: nil)
        )
    }

    private static func open(_ fixture: StoreFixture) async throws -> PostgresStore {
        let store = try await fixture.store(over: LossyTransport(try await transport()))
        fixtures.withLock { $0[ObjectIdentifier(store)] = fixture }
        return store
    }

    private static func fixture(of store: PostgresStore) throws -> StoreFixture {
        try #require(fixtures.withLock { $0[ObjectIdentifier(store)] })
    }

    static let conformance = StoreConformance(
        of: PostgresStore.self,
        seeds: 1,
        advance: { try await Task.sleep(for: $0) },
        reopen: { store, _ in
            let fixture = try fixture(of: store)
            store.close()
            return try await open(fixture)
        },
        secondClient: { store, _ in try await open(try fixture(of: store)) },
        loseAnswer: { store, _ in (try store.commands.present().transport as? LossyTransport)?.loseNextAnswer() },
        close: { store in
            let fixture = try fixture(of: store)
            store.close()
            // The schema of a second client may be removed already.
            _ = try? await fixture.close()
        },
        makeStore: { _ in try await open(try await StoreFixture(server)) }
    )

    @Test(
        "N42: nothing depends on the session: another connection serves each statement, after DISCARD ALL",
        arguments: conformance.applicableChecks
    )
    func conforms(to check: StoreConformance.Check) async throws { try await Self.conformance.run(check) }

    @Test("N42: the calls of many clients leave no lock and no setting on the few connections of the server")
    func sessions() async throws {
        let fixture = try await StoreFixture(Self.server)
        let transport = try await Self.transport(16)
        let store = try await fixture.store(over: transport)
        let queue = OutboxQueue("q", store: store, storeFailure: .failClosed())
        try await withThrowingTaskGroup { group in
            for task in 0..<16 {
                group.addTask {
                    for round in 0..<10 {
                        let key = StoreKey("n42", "\(task % 4)")
                        _ = try await store.update(key, .add(1, within: 0...1000, expiry: .seconds(3600)))
                        let message = OutboxMessage(id: "\(task) \(round)", topic: "t", payload: [1])
                        try await queue.commit(
                            [.put(StoreKey("m", "\(task)"), [1], .after(.milliseconds(1)), if: .any)],
                            sending: [message]
                        )
                        try await transport.withSession(limit: .seconds(30)) { session in
                            try await session.withTransaction {
                                let own = OutboxMessage(id: "own \(task) \(round)", topic: "t", payload: [1])
                                _ = try await store.enqueue([queue.record(for: own)], in: session)
                            }
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await store.counts("q").pending == 320)
        var settled = 0
        while case let claims = try await store.claim("q", limit: 64, lease: .seconds(60)), !claims.isEmpty {
            settled += try await store.settle(claims.map { Settlement($0, .done) }).count { $0 == .settled }
        }
        #expect(settled == 320)
        await ExpirySweep(store.statements, timeout: .seconds(10)).run(transport)
        #expect(try await fixture.admin.text("SELECT count(*) FROM \(fixture.schema).entry WHERE expires < 1") == "0")
        #expect(try await fixture.advisoryLocks == "0")
        store.close()
        try await fixture.close()
    }

    @Test("a transaction of a user that is rolled back leaves no record")
    func rollback() async throws {
        let fixture = try await StoreFixture(Self.server)
        let transport = try await Self.transport()
        let store = try await fixture.store(over: transport)
        await #expect(throws: CancellationError.self) {
            try await transport.withSession { session in
                try await session.withTransaction {
                    _ = try await store.enqueue([NewRecord(queue: "q", id: "a", payload: [1])], in: session)
                    throw CancellationError()
                }
            }
        }
        #expect(try await store.counts("q").pending == 0)
        store.close()
        try await fixture.close()
    }

    @Test("the opening finds a missing schema, and startup options are one error that states the remedy")
    func openings() async throws {
        let fixture = try await StoreFixture(Self.server, migrates: false)
        let transport = try await Self.transport()
        let missing = await failure { try await fixture.store(over: transport) }
        #expect(missing?.reason == .failed && missing?.explanation.contains("PostgresSchema.migrate") == true)
        let other = try await Self.transport()
        try await PostgresSchema.migrate(other, schema: fixture.schema)
        try await fixture.store(over: other).close()
        var limits = ConnectionLimits()
        limits.maxAttempts = 1
        let address = try #require(Self.bouncer).address()
        let rejected = await failure {
            try await PostgresStore(.init(schema: fixture.schema), limits: limits) { try LibPQTransport(address) }
        }
        #expect(rejected?.explanation.contains("pass serverLimits: nil") == true, "\(String(describing: rejected))")
        try await fixture.close()
    }

    @Test("there are no notifications, which is reported once, and messages are delivered by polling")
    func notifications() async throws {
        let fixture = try await StoreFixture(Self.server)
        let transport = try await Self.transport()
        let changes = EventRecorder<StoreError.Reason?>()
        let store = try await PostgresStore(
            .init(schema: fixture.schema, callTimeout: .seconds(15), usesNotifications: true),
            limits: ConnectionLimits()
        ) { event in
            if case .notificationsChanged(_, let reason) = event { changes.record(reason?.reason) }
        } connect: {
            transport
        }
        #expect(await changes.wait(for: 1) == [.failed])
        let delivered = EventRecorder<String>()
        let queue = OutboxQueue("q", store: store, storeFailure: .failClosed())
        let relay = OutboxRelay(.init(pollInterval: .milliseconds(50)), queue: queue) {
            delivered.record($0.message.id)
        }
        let relaying = Task { await relay.run() }
        let record = queue.record(for: OutboxMessage(id: "a", topic: "t", payload: [1]))
        _ = try await store.enqueue([record])
        #expect(await delivered.wait(for: 1) == ["a"])
        #expect(changes.events == [.failed])
        relay.drain()
        await relaying.value
        store.close()
        try await fixture.close()
    }
}
#endif
