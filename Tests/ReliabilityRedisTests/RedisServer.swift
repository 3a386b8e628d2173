import Foundation
import ReliabilityCore
import ReliabilityStore
import Testing

@testable import ReliabilityRedis

/// A Redis or Valkey server in a directory of its own.
final class RedisServer: Sendable {
    private static let executable = ["redis-server", "valkey-server"].lazy
        .flatMap { name in ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map { "\($0)/\(name)" } }
        .first { FileManager.default.isExecutableFile(atPath: $0) }

    /// A Boolean value that indicates whether this machine can run a server.
    ///
    /// `RELIABILITY_NETWORK=1` states that it must.
    static let isInstalled = executable != nil || ProcessInfo.processInfo.environment["RELIABILITY_NETWORK"] == "1"

    /// A server for all tests that do not change their server.
    static let shared = Result { try RedisServer() }

    let directory: URL
    private let settings: [String]
    private let process: Lock<Process?>

    var socketPath: String { directory.appending(path: "s").path }
    var address: RedisAddress { get throws { try RedisAddress("unix://\(socketPath)") } }

    /// Starts a server.
    ///
    /// - Parameter settings: Further arguments of the server.
    init(_ settings: [String] = []) throws {
        directory = URL(filePath: "/tmp").appending(path: "redis-\(UUID().uuidString.prefix(8))")
        self.settings = settings
        process = Lock(nil)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        try start()
    }

    func start() throws {
        let server = Process()
        server.executableURL = URL(filePath: try #require(Self.executable, "redis-server is not installed"))
        server.arguments =
            [
                "--port", "0", "--unixsocket", socketPath, "--dir", directory.path, "--save", "", "--logfile",
                directory.appending(path: "log").path,
            ] + settings
        server.standardInput = FileHandle.nullDevice
        server.standardOutput = FileHandle.nullDevice
        server.standardError = FileHandle.nullDevice
        try server.run()
        process.withLock { $0 = server }
    }

    func signal(_ number: Int32) { if let id = process.withLock({ $0?.processIdentifier }) { kill(id, number) } }

    /// Ends the server without any warning, and waits for its end.
    func killServer() {
        signal(SIGKILL)
        process.withLock { $0.take() }?.waitUntilExit()
    }

    deinit {
        killServer()
        try? FileManager.default.removeItem(at: directory)
    }

    /// Opens a store.
    func store(
        _ name: String = UUID().uuidString,
        observer: (@Sendable (StoreConnectionEvent) -> Void)? = nil,
        _ change: (inout RedisStore.Configuration) -> Void = { _ in }
    ) async throws -> RedisStore {
        var configuration = RedisStore.Configuration(name: name)
        change(&configuration)
        return try await RedisStore(configuration, address: try address, observer: observer)
    }

    /// Runs a command on a connection of its own.
    @discardableResult
    func command(_ parts: String...) async throws -> RedisReply {
        let connection = try await SocketConnection.open(try address, limit: .seconds(10)) { _ in }
        let reply = try await connection.send(parts.map { Array($0.utf8) }, keys: 0..<0, limit: .seconds(10))
        await connection.close()
        return reply
    }
}
