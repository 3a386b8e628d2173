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
    private let process: Process
    let address: ValkeyServerAddress

    /// Starts a server and waits until it accepts connections.
    init(_ settings: [String] = []) throws {
        directory = URL(filePath: "/tmp").appending(path: "valkey-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let socket = directory.appending(path: "s").path
        address = .unixDomainSocket(path: socket)
        process = Process()
        process.executableURL = URL(filePath: Self.path ?? "/nowhere")
        process.arguments =
            [
                "--port", "0", "--unixsocket", socket, "--dir", directory.path, "--save", "",
                "--logfile", directory.appending(path: "log").path,
            ] + settings
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    /// Sends a signal, such as SIGSTOP.
    func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

    deinit {
        process.terminate()
        try? FileManager.default.removeItem(at: directory)
    }
}
#endif
