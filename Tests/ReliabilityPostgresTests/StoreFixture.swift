#if LibPQ
import ReliabilityCore
import ReliabilityLibPQ
import ReliabilityStore
import Testing

@testable import ReliabilityPostgres

/// Stores in schemas of their own on a server.
struct StoreFixture: Sendable {
    let server: PostgresServer
    let schema: String
    /// A client for the statements of the test itself.
    let admin: LibPQTransport

    init(_ server: PostgresServer? = PostgresServer.shared, migrates: Bool = true) async throws {
        self.server = try #require(server)
        schema = "t_\(String(UInt64.random(in: 0...(.max)), radix: 36))"
        admin = try await self.server.connect()
        if migrates { try await PostgresSchema.migrate(admin, schema: schema) }
    }

    /// Opens a store with connections of its own.
    func store(_ configuration: LibPQTransport.Configuration = .init(), user: String = "postgres") async throws
        -> PostgresStore
    {
        let transport = try LibPQTransport(server.address(user: user), configuration: configuration)
        return try await PostgresStore(transport, configuration: .init(schema: schema))
    }

    /// Opens a store over another client.
    func store(over transport: some PostgresTransport) async throws -> PostgresStore {
        try await PostgresStore(transport, configuration: .init(schema: schema))
    }

    func close() async throws {
        try await admin.run("DROP SCHEMA IF EXISTS \(schema) CASCADE")
        await admin.close()
    }
}

/// Runs a test with a store in a schema of its own.
func withStore(
    _ configuration: LibPQTransport.Configuration = .init(),
    _ body: (PostgresStore, StoreFixture) async throws -> Void
) async throws {
    let fixture = try await StoreFixture()
    let store = try await fixture.store(configuration)
    do { try await body(store, fixture) } catch {
        await store.close()
        try? await fixture.close()
        throw error
    }
    await store.close()
    try await fixture.close()
}
#endif
