#if LibPQ
import Foundation
import ReliabilityLibPQ
import ReliabilityPostgres
import Testing

/// PgBouncer in transaction mode in front of a server, which ends with the test process.
///
/// The pool is smaller than the number of clients. A connection of the server is reset after each transaction.
final class PgBouncer: Sendable {
    private static let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/opt/homebrew/bin/pgbouncer"]
        .first { FileManager.default.isExecutableFile(atPath: $0) }
    static let poolSize = 3

    let directory: String
    private let shell: Process
    private let input = Pipe()

    init(_ server: PostgresServer, users: [String] = ["postgres"]) throws {
        directory = "/tmp/pgb-\(UUID().uuidString.prefix(8))"
        let files = FileManager.default
        try files.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let settings = """
            [databases]
            * = host=\(server.directory)
            [pgbouncer]
            unix_socket_dir = \(directory)
            listen_port = 6432
            logfile = \(directory)/log
            auth_type = trust
            auth_file = \(directory)/users
            pool_mode = transaction
            default_pool_size = \(Self.poolSize)
            max_client_conn = 500
            server_reset_query = DISCARD ALL
            server_reset_query_always = 1

            """
        try Data(settings.utf8).write(to: URL(filePath: directory + "/settings"))
        try Data(users.map { "\"\($0)\" \"\"\n" }.joined().utf8).write(to: URL(filePath: directory + "/users"))
        // PgBouncer inherits the blocked signals of the thread that starts the process.
        let script = #""$1" "$2/settings" & read -r _; kill -KILL $!; rm -rf "$2""#
        var command = ["/bin/sh", "-c", script, "sh", try #require(Self.program, "PgBouncer is missing"), directory]
        if getuid() == 0 {
            // PgBouncer does not run as root.
            try files.setAttributes([.ownerAccountName: "postgres"], ofItemAtPath: directory)
            command = ["/usr/bin/env", "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + command
        }
        shell = Process()
        shell.executableURL = URL(filePath: command[0])
        shell.arguments = Array(command.dropFirst())
        shell.standardInput = input
        shell.standardOutput = FileHandle.nullDevice
        shell.standardError = FileHandle.nullDevice
        try shell.run()
    }

    func stop() {
        try? input.fileHandleForWriting.close()
        shell.waitUntilExit()
    }

    /// The address for libpq.
    func address(user: String = "postgres") -> String {
        "host=\(directory) port=6432 user=\(user) dbname=postgres"
    }

    func waitUntilReady() async throws {
        let probe = try LibPQTransport(address(), configuration: .init(maxConnections: 1, serverLimits: nil))
        try await eventually("PgBouncer is ready", within: .seconds(60)) {
            (try? await probe.query("SELECT 1", [], limit: .seconds(1)))?.rows.count == 1
        }
        await probe.close()
    }
}
#endif
