#if Valkey
import Foundation
import Valkey

@testable import ReliabilityValkey

/// A Redis server in a directory of its own, reached over a socket file.
final class ValkeyServer: Sendable {
    static let path = ["valkey-server", "redis-server"]
        .flatMap { name in ["/usr/bin/", "/usr/local/bin/", "/opt/homebrew/bin/"].map { $0 + name } }
        .first { FileManager.default.isExecutableFile(atPath: $0) }
    static let shared = try? ValkeyServer()

    private let directory: URL
    private let process = Process()
    private let input = Pipe()
    let address: ValkeyServerAddress

    // The shell ends the server when the test process, which holds the other end of the pipe, ends.
    private static let script = """
        directory=$1; shift
        "$@" >/dev/null 2>&1 </dev/null &
        echo $! >"$directory/pid"
        read -r line
        kill -KILL $!
        rm -rf "$directory"
        """

    /// Starts a server.
    init(_ settings: [String] = []) throws {
        directory = URL(filePath: "/tmp").appending(path: "valkey-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let socket = directory.appending(path: "s").path
        address = .unixDomainSocket(path: socket)
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments =
            [
                "-c", Self.script, "sh", directory.path, Self.path ?? "/nowhere", "--port", "0", "--unixsocket", socket,
                "--dir", directory.path, "--save", "", "--logfile", directory.appending(path: "log").path,
            ] + settings
        process.standardInput = input
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    /// Sends a signal, such as SIGSTOP, to the server.
    func send(_ signal: Int32) throws {
        let text = try String(contentsOf: directory.appending(path: "pid"), encoding: .utf8)
        if let server = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)) { kill(server, signal) }
    }

    deinit { try? input.fileHandleForWriting.close() }
}
#endif
