#if LibPQ
import Foundation
import ReliabilityCore
import ReliabilityLibPQ
import ReliabilityPostgres
import ReliabilityStore
import Testing

/// A PostgreSQL cluster in a directory of its own, which ends with the test process.
///
/// The server listens only on a Unix socket. A shell starts the server, because the shell notices the end of the test
/// process and because PostgreSQL does not run as root.
final class PostgresServer: Sendable {
    static let programs = ["/usr/lib/postgresql/15/bin", "/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"]
        .first { FileManager.default.isExecutableFile(atPath: $0 + "/initdb") }
    /// A Boolean value that indicates whether the tests with servers run.
    ///
    /// `RELIABILITY_NETWORK=1` asks for these tests, which then fail without a server.
    static let isEnabled = ProcessInfo.processInfo.environment["RELIABILITY_NETWORK"] == "1"
    static let shared = try? PostgresServer()

    let directory: String
    private let shell: Process
    private let input = Pipe()

    private static let script = """
        bin=$1; dir=$2; origin=$3; shift 3
        # A restart fails as long as processes of the last server run.
        start() {
          while [ ! -e "$dir/stop" ]; do
            "$bin/postgres" -D "$dir/data" -k "$dir" "$@" >>"$dir/log" 2>&1 </dev/null
            [ $? -eq 1 ] || break
            sleep 0.1
          done
          touch "$dir/ended"
        }
        if [ -z "$origin" ]; then
          "$bin/initdb" -D "$dir/data" -U postgres -A trust -N --no-instructions >"$dir/initdb" 2>&1 || exit 1
        else
          "$bin/pg_basebackup" -h "$origin" -U postgres -D "$dir/data" -R -X stream -c fast >"$dir/initdb" 2>&1 || exit 1
        fi
        start "$@" &
        while read -r command; do
          wait
          rm -f "$dir/ended"
          start "$@" &
        done
        touch "$dir/stop"
        # A server that starts has not written its process yet.
        while [ ! -e "$dir/ended" ]; do
          pid=$(head -n 1 "$dir/data/postmaster.pid")
          kill -CONT "$pid"
          kill -QUIT "$pid"
          sleep 0.1
        done
        wait
        rm -rf "$dir"
        """

    /// Starts a server.
    ///
    /// - Parameters:
    ///   - settings: Further settings as `name=value`.
    ///   - origin: The server that the new server replicates, or `nil` for an empty cluster.
    /// - Throws: An error of the file system.
    init(_ settings: [String] = [], replicaOf origin: PostgresServer? = nil) throws {
        directory = "/tmp/pg-\(UUID().uuidString.prefix(8))"
        let files = FileManager.default
        try files.createDirectory(atPath: directory, withIntermediateDirectories: true)
        var command = [
            "/bin/sh", "-c", Self.script, "sh", Self.programs ?? "/nowhere", directory, origin?.directory ?? "",
        ]
        let standard = [
            "listen_addresses=", "shared_buffers=32MB", "max_wal_size=256MB", "max_connections=500",
            "log_min_messages=warning",
        ]
        for setting in standard + settings { command += ["-c", setting] }
        if getuid() == 0 {
            try files.setAttributes([.ownerAccountName: "postgres"], ofItemAtPath: directory)
            command = ["/usr/bin/env", "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + command
        }
        shell = Process()
        shell.executableURL = URL(filePath: command[0])
        shell.arguments = Array(command.dropFirst())
        shell.currentDirectoryURL = URL(filePath: directory)
        shell.standardInput = input
        // A child that held the output of the tests would keep `swift test` from ending.
        shell.standardOutput = FileHandle.nullDevice
        shell.standardError = FileHandle.nullDevice
        try shell.run()
    }

    func stop() {
        try? input.fileHandleForWriting.close()
        shell.waitUntilExit()
    }

    /// The address for libpq.
    func address(user: String = "postgres", database: String = "postgres") -> String {
        "host=\(directory) user=\(user) dbname=\(database)"
    }

    /// Creates a client when the server accepts statements.
    func connect(
        _ configuration: LibPQTransport.Configuration = .init(),
        user: String = "postgres"
    ) async throws -> LibPQTransport {
        try await waitUntilReady()
        return try LibPQTransport(address(user: user), configuration: configuration)
    }

    func waitUntilReady() async throws {
        let probe = try LibPQTransport(address() + " target_session_attrs=any", configuration: .init(maxConnections: 1))
        try await eventually("the server is ready", within: .seconds(60)) {
            (try? await probe.query("SELECT 1", [], limit: .seconds(1)))?.rows.count == 1
        }
        await probe.close()
    }

    /// The process of the postmaster.
    var processIdentifier: Int32 {
        get throws {
            let text = try String(contentsOfFile: directory + "/data/postmaster.pid", encoding: .utf8)
            return try #require(text.split(separator: "\n").first.flatMap { Int32($0) })
        }
    }

    func signal(_ signal: Int32) throws { kill(try processIdentifier, signal) }

    /// Kills the postmaster without a shutdown and starts the server again.
    func crash() throws {
        let process = try processIdentifier
        // The children of a killed postmaster end by themselves. The restart waits for their end.
        for child in Self.children(of: process) { kill(child, SIGKILL) }
        kill(process, SIGKILL)
        try restart()
    }

    /// Starts the server as soon as the last process has ended.
    func restart() throws { try input.fileHandleForWriting.write(contentsOf: Data("start\n".utf8)) }

    private static func children(of parent: Int32) -> [Int32] {
        let text = try? String(contentsOfFile: "/proc/\(parent)/task/\(parent)/children", encoding: .utf8)
        return (text ?? "").split(separator: " ").compactMap { Int32($0) }
    }
}

/// Waits until a condition holds, which a real server makes true at an unknown time.
func eventually(
    _ what: String,
    within limit: Duration = .seconds(10),
    _ condition: () async throws -> Bool
) async throws {
    let start = ContinuousClock.now
    while try await !condition() {
        try #require(ContinuousClock.now - start < limit, "timeout: \(what)")
        try await Task.sleep(for: .milliseconds(10))
    }
}

/// A Boolean value that one task sets and others read.
final class Flag: Sendable {
    private let value = Lock(false)

    var isSet: Bool { value.withLock { $0 } }
    func set() { value.withLock { $0 = true } }
}

/// Returns the error of an operation that must fail.
func failure<Success>(_ body: () async throws -> Success) async -> StoreError? {
    do { _ = try await body() } catch { return error as? StoreError }
    return nil
}

extension PostgresTransport {
    /// Runs a statement that must succeed.
    @discardableResult
    func run(_ sql: String, _ values: [PostgresValue] = []) async throws -> [[[UInt8]?]] {
        let reply = try await query(sql, values, limit: .seconds(30))
        try #require(reply.sqlState == nil, "\(reply.sqlState ?? ""): \(reply.message) in \(sql.prefix(200))")
        return reply.rows
    }

    /// Runs a statement whose result is one text.
    func text(_ sql: String) async throws -> String {
        let rows = try await run("SELECT (\(sql))::text")
        return String(decoding: try #require(rows.first?.first ?? nil), as: UTF8.self)
    }
}
#endif
