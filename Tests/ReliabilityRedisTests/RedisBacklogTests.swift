import Foundation
import ReliabilityCore
import ReliabilityStore
import Testing

@testable import ReliabilityRedis

@Suite("Commands that wait for a Redis server", .enabled(if: RedisServer.isEnabled))
struct RedisBacklogTests {
    @Test("a server that takes no bytes does not fill the memory: further commands are rejected unsent")
    func bytes() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        let connection = try await SocketConnection.open(try server.address, limit: .seconds(20)) { _ in }
        defer { connection.end("the test has ended") }
        server.signal(SIGSTOP)
        defer { server.signal(SIGCONT) }
        let value = Array(repeating: UInt8(1), count: 1 << 20)
        let failures = await withTaskGroup { group in
            for index in 0..<200 {
                group.addTask { () -> ConnectionFailure? in
                    do throws(ConnectionFailure) {
                        let command = [Array("SET".utf8), Array("\(index)".utf8), value]
                        _ = try await connection.send(command, keys: 1..<2, limit: .seconds(2))
                        return nil
                    } catch { return error }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        let rejected = failures.compactMap { $0 }.filter { $0.explanation.hasPrefix("the server takes no commands") }
        #expect(rejected.count > 100)
        #expect(rejected.allSatisfy { !$0.isSent })
    }
}
