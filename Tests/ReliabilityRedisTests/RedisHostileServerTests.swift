#if canImport(Glibc)
import Foundation
import Glibc
import ReliabilityCore
import ReliabilityStore
import Testing

@testable import ReliabilityRedis

/// A program that listens on the socket of a Redis server and answers what a test wants.
final class HostileServer: Sendable {
    let path = "/tmp/hostile-\(UUID().uuidString.prefix(8))"
    private let listener: Int32

    /// Starts a server.
    ///
    /// - Parameter answer: Runs for each connection on a thread of its own, and receives the descriptor.
    /// - Throws: An error of the system.
    init(_ answer: @escaping @Sendable (Int32) -> Void) throws {
        let file = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        listener = file
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &name.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
        let status = unsafe withUnsafePointer(to: &name) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(file, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(status == 0 && listen(file, 16) == 0)
        Thread.detachNewThread {
            while case let connection = accept(file, nil, nil), connection >= 0 {
                Thread.detachNewThread {
                    answer(connection)
                    close(connection)
                }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
        unsafe unlink(path)
    }

    func connect() async throws -> SocketConnection {
        try await SocketConnection.connect(to: .unix(path: path), limit: .seconds(5))
    }
}

/// Reads until the other end has sent a number of bytes.
private func receive(_ file: Int32, _ count: Int) {
    var buffer = [UInt8](repeating: 0, count: 4096)
    var received = 0
    while received < count, case let length = unsafe read(file, &buffer, buffer.count), length > 0 {
        received += length
    }
}

private func reply(_ file: Int32, _ text: String) {
    let bytes = Array(text.utf8)
    _ = unsafe send(file, bytes, bytes.count, Int32(MSG_NOSIGNAL))
}

@Suite("Hostile Redis servers", .enabled(if: RedisServer.isEnabled))
struct RedisHostileServerTests {
    @Test(
        "a server that answers nonsense fails the calls under way as sent, and every later call as not sent",
        arguments: [
            "", "nonsense\r\n", "$-2\r\n", "*99999999999999999999\r\n", "$5\r\nabcdefgh\r\n",
            "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", ":1x\r\n",
            "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
        ]
    )
    func nonsense(text: String) async throws {
        let command = [Array("PING".utf8)]
        let length = 14
        let server = try HostileServer { file in
            receive(file, length)
            reply(file, text)
        }
        let connection = try await server.connect()
        do throws(ConnectionFailure) {
            _ = try await connection.send(command, keys: 0..<0, limit: .seconds(5))
            #expect(text.hasPrefix("+OK"))
        } catch { #expect(error.isSent) }
        // The end of the connection may come during a later call.
        await #expect(throws: ConnectionFailure.self) {
            while true { _ = try await connection.send(command, keys: 0..<0, limit: .seconds(5)) }
        }
        let last = await #expect(throws: ConnectionFailure.self) {
            _ = try await connection.send(command, keys: 0..<0, limit: .seconds(5))
        }
        #expect(last?.isSent == false)
    }

    @Test("a connection whose server closed only its own direction ends, and the descriptors are closed")
    func halfClosed() async throws {
        let server = try HostileServer { file in
            shutdown(file, Int32(SHUT_WR))
            // Until the client closes its end.
            receive(file, .max)
        }
        let before = try descriptors()
        for _ in 0..<50 {
            let connection = try await server.connect()
            await #expect(throws: ConnectionFailure.self) {
                _ = try await connection.send([Array("PING".utf8)], keys: 0..<0, limit: .seconds(5))
            }
        }
        // The threads of the last connections may still end.
        try await waitUntil { try descriptors() < before + 20 }
    }

    private func descriptors() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    }

    @Test("a killed server leaves no descriptor and no thread of its store behind")
    func leaks() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        var limits = ConnectionLimits()
        limits.maxDelay = .milliseconds(5)
        let store = try await server.store(
            limits: limits,
            configure: { $0.durability = StoreCapabilities.Durability.none }
        )
        let before = (try descriptors(), try threads())
        for _ in 0..<10 {
            server.kill()
            try await waitUntil { store.connectionState != .ready }
            try server.start()
            try await waitUntil { store.connectionState == .ready }
        }
        for _ in 0..<20 { try await server.store().close() }
        try await waitUntil { try descriptors() < before.0 + 10 && threads() < before.1 + 5 }
        store.close()
    }

    private func threads() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count
    }
}
#endif
