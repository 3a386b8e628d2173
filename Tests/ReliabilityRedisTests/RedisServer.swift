import Foundation
import ReliabilityCore

@testable import ReliabilityRedis

/// A Redis server in a directory of its own.
final class RedisServer: Sendable {
    static let path = ["/usr/bin/redis-server", "/usr/local/bin/redis-server", "/opt/homebrew/bin/redis-server"]
        .first { FileManager.default.isExecutableFile(atPath: $0) }
    static let shared = try? RedisServer()

    private let directory: URL
    private let process: Process
    var address: SocketAddress { .unix(path: directory.appending(path: "s").path) }

    init(_ settings: [String] = []) throws {
        directory = URL(filePath: "/tmp").appending(path: "redis-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        process = Process()
        process.executableURL = URL(filePath: Self.path ?? "/nowhere")
        process.arguments =
            [
                "--port", "0", "--unixsocket", directory.appending(path: "s").path, "--dir", directory.path, "--save", "",
                "--logfile", directory.appending(path: "log").path,
            ] + settings
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    func connect() async throws -> SocketConnection {
        var last: any Error = CancellationError()
        for _ in 0..<200 {
            do { return try SocketConnection.connect(to: address, timeout: .seconds(3)) } catch { last = error }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw last
    }

    deinit {
        process.terminate()
        try? FileManager.default.removeItem(at: directory)
    }
}
