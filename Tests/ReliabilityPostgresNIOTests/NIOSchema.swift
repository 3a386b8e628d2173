#if PostgresNIO && LibPQ
import PostgresNIO
import ReliabilityPostgres
import ReliabilityStore
import Testing

@testable import ReliabilityPostgresNIO

extension PostgresServer {
    var nioConfiguration: PostgresClient.Configuration {
        PostgresClient.Configuration(
            unixSocketPath: directory + "/.s.PGSQL.5432",
            username: "postgres",
            password: nil,
            database: "postgres"
        )
    }

    /// Returns a transport when the server accepts statements.
    func connectNIO(
        _ change: (inout PostgresClient.Configuration) -> Void = { _ in }
    ) async throws -> PostgresNIOTransport {
        try await waitUntilReady()
        var configuration = nioConfiguration
        change(&configuration)
        return PostgresNIOTransport.connect(configuration)
    }
}

/// A schema of its own on the server.
struct NIOSchema: Sendable {
    let server: PostgresServer
    let name = "t_\(String(UInt64.random(in: 0...(.max)), radix: 36))"

    init(_ server: PostgresServer? = .shared) async throws {
        self.server = try #require(server)
        let transport = try await self.server.connectNIO()
        try await PostgresSchema.migrate(transport, schema: name)
        await transport.close()
    }

    func store() async throws -> PostgresStore {
        try await PostgresStore(.init(schema: name)) { [server] in try await server.connectNIO() }
    }

    func drop() async throws {
        let transport = try await server.connectNIO()
        _ = try await transport.query("DROP SCHEMA IF EXISTS \(name) CASCADE", [], limit: .seconds(10))
        await transport.close()
    }
}
#endif
