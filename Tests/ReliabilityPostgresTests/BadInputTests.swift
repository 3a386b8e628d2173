#if LibPQ
import Foundation
import ReliabilityCore
import ReliabilityLibPQ
import ReliabilityStore
import Testing

@testable import ReliabilityPostgres

/// Each bad input is one error that names the server and the remedy, without credentials.
@Suite(
    "Bad input at the opening of a PostgresStore",
    .serialized,
    .serverTurn,
    .timeLimit(.minutes(10)),
    .enabled(if: PostgresServer.isEnabled)
)
struct BadInputTests {
    private static let secret = "hunter2"
    private static let user = "ada"

    /// Returns the error of an opening, after two attempts to reach the server.
    private func openingError(_ address: String, schema: String = "reliability") async -> StoreError? {
        await failure {
            try await PostgresStore(.init(schema: schema), limits: Self.limits) { try LibPQTransport(address) }
        }
    }

    private static var limits: ConnectionLimits {
        var limits = ConnectionLimits()
        limits.maxAttempts = 2
        limits.firstDelay = .milliseconds(1)
        return limits
    }

    private func expect(
        _ error: StoreError?,
        _ reason: StoreError.Reason,
        _ server: String,
        _ remedy: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let text = error?.explanation ?? ""
        #expect(error?.reason == reason, "\(text)", sourceLocation: sourceLocation)
        #expect(text.hasPrefix("the PostgreSQL server"), "\(text)", sourceLocation: sourceLocation)
        #expect(text.contains(server) && text.contains(remedy), "\(text)", sourceLocation: sourceLocation)
        for secret in [Self.secret, Self.user] {
            #expect(!String(reflecting: error).contains(secret), sourceLocation: sourceLocation)
        }
    }

    @Test(
        "a server that cannot be reached",
        arguments: [
            (
                "postgres://ada:hunter2@127.0.0.1:1/shop", "at 127.0.0.1:1 database shop",
                "start the server or correct the address"
            ),
            (
                "host=/nowhere dbname=shop user=ada password=hunter2", "at /nowhere/.s.PGSQL.5432 database shop",
                "start the server or correct the address"
            ),
            (
                "postgres://ada:hunter2@[::1]:1,127.0.0.1:2/shop", "at [::1]:1, 127.0.0.1:2 database shop",
                "start the server or correct the address"
            ),
            ("postgres://ada:hunter2@no.such.host.invalid/shop", "at no.such.host.invalid:5432", "correct the address"),
            // The password has an unescaped delimiter.
            ("postgres://ada:x@hunter2@/shop", "a host with unusual characters database shop", "correct the address"),
            (
                "postgres://ada:hunter2@127.0.0.1/shop?sslmode=some", "127.0.0.1:5432 database shop",
                "correct the address"
            ),
        ]
    )
    func unreachable(address: String, server: String, remedy: String) async {
        expect(await openingError(address), .unavailable, server, remedy)
    }

    @Test(
        "an address that cannot be parsed",
        arguments: [
            ("postgres://ada:hunter2@host/db?what=1", "write postgres://user:password@host:port/database"),
            ("password=hunter2 ada", "write postgres://user:password@host:port/database"),
            ("postgres://ada:hunter2@host:port/x", "the port of the PostgreSQL server must be a number"),
            ("postgres://ada:hunter2@host:0/x", "the port of the PostgreSQL server must be a number"),
            ("postgres://ada:hunter2/x@host/x", "the port of the PostgreSQL server must be a number"),
        ]
    )
    func invalidAddresses(address: String, remedy: String) async {
        expect(await openingError(address), .invalid, "PostgreSQL server", remedy)
    }

    @Test("a wrong password, no password, a wrong user and a wrong database")
    func credentials() async throws {
        let server = try PostgresServer()
        defer { server.stop() }
        let admin = try await server.connect()
        try await admin.run("CREATE ROLE \(Self.user) LOGIN PASSWORD 'right'")
        try Data("local all postgres trust\nlocal all all scram-sha-256\n".utf8)
            .write(to: URL(filePath: server.directory + "/data/pg_hba.conf"))
        try await admin.run("SELECT pg_reload_conf()")
        func error(_ rest: String) async -> StoreError? {
            await openingError("host=\(server.directory) dbname=postgres \(rest)")
        }
        let place = "at \(server.directory)/.s.PGSQL.5432 database postgres cannot be used: "
        let rejected =
            "rejected the user or the password; correct the address, the role or pg_hba.conf (SQLSTATE 28P01)"
        try await eventually("the server asks for a password") { await error("user=ada")?.reason == .failed }
        expect(await error("user=ada password=hunter2"), .failed, place, rejected)
        expect(await error("user=ada"), .failed, place, rejected)
        expect(await error("user=ada2 password=hunter2"), .failed, place, rejected)
        expect(
            await error("user=postgres dbname=missing"),
            .failed,
            "database missing cannot be used: ",
            "the database does not exist; create it or correct the address"
        )
        expect(await error("user=ada password=right"), .failed, place, "run PostgresSchema.migrate")
        await admin.close()
    }

    @Test("a server of an old version, a schema that is too new and a schema that is too old")
    func versions() async throws {
        let fixture = try await StoreFixture()
        func error(_ transport: any PostgresTransport) async -> StoreError? {
            await failure { try await PostgresStore(.init(schema: fixture.schema)) { transport } }
        }
        let address = fixture.server.address()
        let place = "at \(fixture.server.directory)/.s.PGSQL.5432 database postgres cannot be used: "
        let old = OldServerTransport(try LibPQTransport(address))
        expect(
            await error(old),
            .failed,
            "server cannot be used: ",
            "the server must be PostgreSQL 15 or later (is 14)"
        )
        try await fixture.admin.run("UPDATE \(fixture.schema).meta SET schema_version = 7, minimum_client = 2")
        expect(await error(try LibPQTransport(address)), .unsupportedFormat(7), place, "update the library")
        try await fixture.admin.run("UPDATE \(fixture.schema).meta SET schema_version = 0, minimum_client = 0")
        expect(await error(try LibPQTransport(address)), .failed, place, "run PostgresSchema.migrate")
        try await fixture.close()
    }

    @Test("a migration waits for a server that starts, and gives up after the attempts of an opening")
    func migrations() async throws {
        var limits = ConnectionLimits()
        limits.firstDelay = .milliseconds(1)
        limits.maxDelay = .milliseconds(1)
        let starting: [ScriptedTransport.Answer] = [
            .failure(isSent: false), .code("57P03"), .code("53300"), .reply(PostgresReply()), .code("55P03"),
            .reply(PostgresReply()), .failure(isSent: true),
        ]
        let late = ScriptedTransport(starting)
        try await PostgresSchema.migrate(late, schema: "s", steps: SchemaStep.all, limits: limits)
        #expect(late.sent.count == starting.count + 2)
        let down = ScriptedTransport(Array(repeating: .failure(isSent: false), count: 20))
        let error = await failure {
            try await PostgresSchema.migrate(down, schema: "s", steps: SchemaStep.all, limits: limits)
        }
        #expect(down.sent.count == 10)
        expect(error, .unavailable, "the PostgreSQL server cannot be migrated: ", "the connection failed")
        let rejected = ScriptedTransport([.reply(PostgresReply()), .code("42501")])
        let final = await failure {
            try await PostgresSchema.migrate(rejected, schema: "s", steps: SchemaStep.all, limits: limits)
        }
        #expect(rejected.sent.count == 2)
        expect(final, .failed, "cannot be migrated: ", "grant the privileges of the page PostgreSQL")
    }
}

/// A client of a server that reports an old version.
private final class OldServerTransport: PostgresTransport {
    private let transport: LibPQTransport

    init(_ transport: LibPQTransport) { self.transport = transport }

    func query(
        _ sql: String,
        _ values: [PostgresValue],
        limit: Duration
    ) async throws(ConnectionFailure) -> PostgresReply {
        let old = sql.replacingOccurrences(of: "current_setting('server_version_num')::integer", with: "140012")
        return try await transport.query(old, values, limit: limit)
    }

    func close() async { await transport.close() }
}
#endif
