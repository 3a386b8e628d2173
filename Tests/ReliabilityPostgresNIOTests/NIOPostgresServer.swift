#if PostgresNIO
import Foundation
import Logging
import PostgresNIO
import ReliabilityCore
import ReliabilityPostgres
import ReliabilityStore
import Testing

@testable import ReliabilityPostgresNIO

/// A PostgreSQL server in a directory of its own, which ends with the test process.
final class NIOPostgresServer: Sendable {
    static let programs = ["/usr/lib/postgresql/15/bin", "/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"]
        .first { FileManager.default.isExecutableFile(atPath: $0 + "/initdb") }
    static let shared = try? NIOPostgresServer()

    private let directory: URL
    private let process = Process()
    private let input = Pipe()

    // The shell ends the server when the test process, which holds the other end of the pipe, ends.
    private static let script = """
        "$1/initdb" -D "$2/data" -U postgres -A trust -N --no-instructions >"$2/initdb" 2>&1 || exit 1
        "$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c shared_buffers=32MB >"$2/log" 2>&1 </dev/null &
        read -r line
        kill -CONT $! ; kill -QUIT $! ; wait $!
        rm -rf "$2"
        """

    init() throws {
        directory = URL(filePath: "/tmp/pgnio-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        var command = ["/bin/sh", "-c", Self.script, "sh", Self.programs ?? "/nowhere", directory.path]
        if getuid() == 0 {
            // PostgreSQL does not run as root.
            try FileManager.default.setAttributes([.ownerAccountName: "postgres"], ofItemAtPath: directory.path)
            command = ["/usr/bin/env", "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + command
        }
        process.executableURL = URL(filePath: command[0])
        process.arguments = Array(command.dropFirst())
        process.standardInput = input
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    var configuration: PostgresClient.Configuration {
        PostgresClient.Configuration(
            unixSocketPath: directory.appending(path: ".s.PGSQL.5432").path,
            username: "postgres",
            password: nil,
            database: "postgres"
        )
    }

    /// Returns a transport when the server accepts statements.
    func connect(_ change: (inout PostgresClient.Configuration) -> Void = { _ in }) async throws -> PostgresNIOTransport
    {
        var configuration = configuration
        change(&configuration)
        for _ in 0..<300 {
            // The pool of a client waits longer and longer between two attempts.
            let transport = PostgresNIOTransport.connect(configuration)
            if let reply = try? await transport.query("SELECT 1", [], limit: .seconds(1)), reply.sqlState == nil {
                return transport
            }
            await transport.close()
            try await Task.sleep(for: .milliseconds(50))
        }
        throw ConnectionFailure(isSent: false, "the server did not start")
    }

    /// Sends a signal to the server and its children.
    func signal(_ signal: Int32) throws {
        let text = try String(contentsOf: directory.appending(path: "data/postmaster.pid"), encoding: .utf8)
        let parent = try #require(text.split(separator: "\n").first.flatMap { Int32($0) })
        let children = try String(contentsOfFile: "/proc/\(parent)/task/\(parent)/children", encoding: .utf8)
        for process in [parent] + children.split(separator: " ").compactMap({ Int32($0) }) { kill(process, signal) }
    }
}

/// A schema of its own on the server.
struct NIOSchema: Sendable {
    let server: NIOPostgresServer
    let name = "t_\(String(UInt64.random(in: 0...(.max)), radix: 36))"

    init(_ server: NIOPostgresServer? = .shared) async throws {
        self.server = try #require(server)
        let transport = try await self.server.connect()
        try await PostgresSchema.migrate(transport, schema: name)
        await transport.close()
    }

    func store() async throws -> PostgresStore {
        try await PostgresStore(try await server.connect(), configuration: .init(schema: name))
    }

    func drop() async throws {
        let transport = try await server.connect()
        _ = try await transport.query("DROP SCHEMA IF EXISTS \(name) CASCADE", [], limit: .seconds(10))
        await transport.close()
    }
}
#endif
