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

    /// A Boolean value that indicates whether the tests with servers run.
    ///
    /// `RELIABILITY_NETWORK=1` asks for these tests, which then fail without a server. `.ci/network` installs the
    /// servers and runs the tests one after the other, because real time passes in them.
    static let isEnabled = ProcessInfo.processInfo.environment["RELIABILITY_NETWORK"] == "1"

    /// A server for all tests that do not change their server.
    static let shared = Result { try RedisServer() }

    let directory: URL
    /// The port, or 0 for a server that has only a Unix socket.
    let port: Int
    private let settings: [String]
    private let process: Lock<Process?>

    var socketPath: String { directory.appending(path: "s").path }
    var address: RedisAddress { get throws { try RedisAddress("unix://\(socketPath)") } }

    /// Starts a server.
    ///
    /// - Parameters:
    ///   - settings: Further arguments of the server.
    ///   - hasPort: `true` for a server that also listens on a port of the loopback interface.
    ///   - folder: The folder of the server's directory.
    /// - Throws: An error of the file system, or that the server is not installed.
    convenience init(_ settings: String..., hasPort: Bool = false, in folder: URL = URL(filePath: "/tmp")) throws {
        try self.init(settings, hasPort: hasPort, in: folder)
    }

    init(_ settings: [String], hasPort: Bool = false, in folder: URL = URL(filePath: "/tmp")) throws {
        directory = folder.appending(path: "redis-\(UUID().uuidString.prefix(8))")
        port = hasPort ? Int.random(in: 20_000..<32_000) : 0
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
                "--port", "\(port)", "--bind", "127.0.0.1", "--unixsocket", socketPath, "--dir", directory.path,
                "--save", "", "--logfile",
                directory.appending(path: "log").path,
            ] + settings
        server.standardInput = FileHandle.nullDevice
        server.standardOutput = FileHandle.nullDevice
        server.standardError = FileHandle.nullDevice
        try server.run()
        process.withLock { $0 = server }
    }

    /// Sends a signal to the server.
    func signal(_ number: Int32) {
        if let id = process.withLock({ $0?.processIdentifier }) { Foundation.kill(id, number) }
    }

    /// Ends the server without any warning, and waits for its end.
    func kill() {
        let server = process.withLock { $0.take() }
        if let server { Foundation.kill(server.processIdentifier, SIGKILL) }
        server?.waitUntilExit()
    }

    deinit {
        kill()
        try? FileManager.default.removeItem(at: directory)
    }

    /// Ends the server without any warning and starts the server again.
    func restart() throws {
        kill()
        try start()
    }

    /// Opens a store.
    func store(
        _ name: String = UUID().uuidString,
        limits: ConnectionLimits = ConnectionLimits(),
        observer: (@Sendable (StoreConnectionEvent) -> Void)? = nil,
        configure change: (inout RedisStore.Configuration) -> Void = { _ in }
    ) async throws -> RedisStore {
        var configuration = RedisStore.Configuration(name: name)
        change(&configuration)
        let (address, limit) = (try address, configuration.commandTimeout)
        return try await RedisStore(
            configuration,
            server: "the server",
            limits: limits,
            observer: observer
        ) { onLoss throws(StoreError) in try await SocketConnection.open(address, limit: limit, onLoss: onLoss) }
    }

    /// Opens a store over a transport that a closure changes.
    func store(
        _ name: String = UUID().uuidString,
        through wrap: @escaping @Sendable (any RedisTransport) -> any RedisTransport
    ) async throws -> RedisStore {
        let address = try address
        return try await RedisStore(.init(name: name)) {
            wrap(try await SocketConnection.open(address, limit: .seconds(3)) { _ in })
        }
    }

    /// Runs a command on a connection of its own, as soon as the server answers.
    @discardableResult
    func command(_ parts: String...) async throws -> RedisReply {
        try await command(parts)
    }

    @discardableResult
    func command(_ parts: [String]) async throws -> RedisReply { try await command(parts.map { Array($0.utf8) }) }

    /// Runs a command with arguments of bytes.
    @discardableResult
    func command(_ parts: [[UInt8]]) async throws -> RedisReply {
        let address = try address
        let connection = try await eventually {
            try? await SocketConnection.open(address, limit: .seconds(10)) { _ in }
        }
        defer { connection.end("the test has ended") }
        return try await connection.send(parts, keys: 0..<0, limit: .seconds(30))
    }
}

/// Returns the value of a closure as soon as there is one, within half a minute.
func eventually<Value>(_ body: () async throws -> Value?) async throws -> Value {
    for _ in 0..<3000 {
        if let value = try await body() { return value }
        try await Task.sleep(for: .milliseconds(10))
    }
    throw StoreError(.failed, "the condition did not become true within half a minute")
}

/// Waits until a condition is true, within half a minute.
func waitUntil(_ condition: () async throws -> Bool) async throws {
    try await eventually { try await condition() ? () : nil }
}

extension RedisStore {
    /// The key of an entry on the server.
    func rawKey(_ key: StoreKey) -> [UInt8] { RedisNames(configuration).entry(key) }

    /// The reason of an operation's failure, or `nil` after a success.
    func reason(_ body: (RedisStore) async throws(StoreError) -> Void) async -> StoreError.Reason? {
        do throws(StoreError) {
            try await body(self)
            return nil
        } catch { return error.reason }
    }
}

/// Returns the error of opening a store.
func openingError(_ open: () async throws -> RedisStore) async -> StoreError? {
    do {
        try await open().close()
        return nil
    } catch { return error as? StoreError }
}
