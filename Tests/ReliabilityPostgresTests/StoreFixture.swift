#if LibPQ
import ReliabilityCore
import ReliabilityLibPQ
import ReliabilityStore
import Testing

@testable import ReliabilityPostgres

/// Stores in schemas of their own on a server.
struct StoreFixture: Sendable {
    /// Time limits for a machine that does other work at the same time.
    static let patient = LibPQTransport.Configuration(
        serverLimits: .init(statement: .seconds(10), lock: .seconds(5), idleInTransaction: .seconds(60))
    )

    let server: PostgresServer
    let schema: String
    /// A client for the statements of the test itself.
    let admin: LibPQTransport

    init(_ server: PostgresServer? = PostgresServer.shared, migrates: Bool = true) async throws {
        self.server = try #require(server)
        schema = "t_\(String(UInt64.random(in: 0...(.max)), radix: 36))"
        admin = try await self.server.connect(Self.patient)
        if migrates { try await PostgresSchema.migrate(admin, schema: schema) }
    }

    /// Opens a store with connections of its own.
    func store(
        _ configuration: LibPQTransport.Configuration = Self.patient,
        user: String = "postgres",
        checkInterval: Duration = .seconds(2),
        usesNotifications: Bool = false,
        observer: (@Sendable (StoreConnectionEvent) -> Void)? = nil
    ) async throws -> PostgresStore {
        let address = server.address(user: user)
        var limits = ConnectionLimits()
        limits.checkInterval = checkInterval
        return try await PostgresStore(
            .init(schema: schema, callTimeout: .seconds(15), usesNotifications: usesNotifications),
            limits: limits,
            observer: observer
        ) {
            try LibPQTransport(address, configuration: configuration)
        }
    }

    /// Opens a store over another client.
    func store(over transport: some PostgresTransport) async throws -> PostgresStore {
        try await PostgresStore(.init(schema: schema, callTimeout: .seconds(15))) { transport }
    }

    /// The number of advisory locks of the schema at this moment.
    var advisoryLocks: String {
        get async throws {
            try await admin.text(
                "SELECT count(*) FROM pg_locks l JOIN pg_namespace n ON n.oid = l.classid WHERE locktype = 'advisory' AND n.nspname = '\(schema)'"
            )
        }
    }

    /// Runs a query and returns the number of blocks that the execution has read.
    func blocks(_ query: String) async throws -> Int {
        let rows = try await admin.run("EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) \(query)")
        let text = rows.compactMap { $0.first ?? nil }.map { String(decoding: $0, as: UTF8.self) }.joined(
            separator: " "
        )
        let hits = text.split(separator: "hit=").dropFirst().first?.prefix { $0.isNumber }
        return Int(hits ?? "") ?? 0
    }

    func close() async throws {
        try await admin.run("DROP SCHEMA IF EXISTS \(schema) CASCADE")
        await admin.close()
    }
}

/// Runs a test with a store in a schema of its own.
func withStore(
    _ configuration: LibPQTransport.Configuration = StoreFixture.patient,
    _ body: (PostgresStore, StoreFixture) async throws -> Void
) async throws {
    let fixture = try await StoreFixture()
    let store = try await fixture.store(configuration)
    do { try await body(store, fixture) } catch {
        store.close()
        try? await fixture.close()
        throw error
    }
    store.close()
    try await fixture.close()
}
#endif
