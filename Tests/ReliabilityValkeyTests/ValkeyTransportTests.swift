#if Valkey
import Foundation
import ReliabilityCore
import ReliabilityRedis
import ReliabilityStore
import Testing
import Valkey

@testable import ReliabilityValkey

extension RedisServer {
    fileprivate var valkeyAddress: ValkeyServerAddress { .unixDomainSocket(path: socketPath) }
}

@Suite("ValkeyTransport", .enabled(if: RedisServer.isEnabled))
struct ValkeyTransportTests {
    private func failure(
        _ operation: () async throws(ConnectionFailure) -> RedisReply
    ) async -> ConnectionFailure? {
        do throws(ConnectionFailure) {
            _ = try await operation()
            return nil
        } catch {
            return error
        }
    }

    private func command(_ parts: String...) -> [[UInt8]] { parts.map { Array($0.utf8) } }

    @Test func argumentsAndRepliesAreBinary() async throws {
        let server = try RedisServer()
        let transport = ValkeyTransport.connect(to: server.valkeyAddress)
        let bytes = (0...255).map { UInt8($0) }
        let set = try await transport.send([Array("SET".utf8), bytes, bytes], keys: 1..<2, limit: .seconds(20))
        #expect(set == .bytes(Array("OK".utf8)))
        #expect(
            try await transport.send([Array("GET".utf8), bytes], keys: 1..<2, limit: .seconds(20)) == .bytes(bytes)
        )
        let script = "return {1, false, {redis.error_reply('ERR inner')}, redis.status_reply('fine')}"
        let reply = try await transport.send(command("EVAL", script, "0"), keys: 0..<0, limit: .seconds(20))
        #expect(
            reply == .array([.integer(1), .null, .array([.error("ERR inner")]), .bytes(Array("fine".utf8))])
        )
        await transport.close()
    }

    @Test func anErrorOfTheServerIsAReply() async throws {
        let server = try RedisServer()
        let transport = ValkeyTransport.connect(to: server.valkeyAddress)
        let reply = try await transport.send(command("EVALSHA", "0000", "0"), keys: 3..<3, limit: .seconds(20))
        guard case .error(let text) = reply else {
            Issue.record("the reply is no error: \(reply)")
            return
        }
        #expect(text.hasPrefix("NOSCRIPT"))
        await transport.close()
    }

    @Test func aCommandWithoutAConnectionIsNotSent() async throws {
        let transport = ValkeyTransport.connect(to: .unixDomainSocket(path: "/tmp/no-server-\(UUID().uuidString)"))
        let start = ContinuousClock.now
        let failure = await failure { () async throws(ConnectionFailure) in
            try await transport.send(command("PING"), keys: 0..<0, limit: .milliseconds(200))
        }
        #expect(failure?.isSent == false)
        #expect(ContinuousClock.now - start < .seconds(15))
        await transport.close()
    }

    @Test func aCommandWithoutAReplyIsSentAndEndsAtTheLimit() async throws {
        let server = try RedisServer()
        let transport = ValkeyTransport.connect(to: server.valkeyAddress)
        _ = try await transport.send(command("PING"), keys: 0..<0, limit: .seconds(20))
        server.signal(SIGSTOP)
        defer { server.signal(SIGCONT) }
        let start = ContinuousClock.now
        let failure = await failure { () async throws(ConnectionFailure) in
            try await transport.send(command("INCR", "n"), keys: 1..<2, limit: .milliseconds(200))
        }
        #expect(failure?.isSent == true)
        #expect(ContinuousClock.now - start < .seconds(15))
        await transport.close()
    }

    @Test func aLateReplyReachesNoOtherCall() async throws {
        let server = try RedisServer()
        let transport = ValkeyTransport.connect(to: server.valkeyAddress)
        _ = try await transport.send(command("SET", "a", "1"), keys: 1..<2, limit: .seconds(20))
        server.signal(SIGSTOP)
        let lost = await failure { () async throws(ConnectionFailure) in
            try await transport.send(command("GET", "a"), keys: 1..<2, limit: .milliseconds(100))
        }
        #expect(lost != nil)
        server.signal(SIGCONT)
        let reply = try await transport.send(command("GET", "other"), keys: 1..<2, limit: .seconds(20))
        #expect(reply == .null)
        await transport.close()
    }

    @Test func aCancelledCallHarmsNoOtherCall() async throws {
        let server = try RedisServer()
        let transport = ValkeyTransport.connect(to: server.valkeyAddress)
        let calls = (0..<200).map { index in
            Task {
                let command = command("ECHO", "\(index)")
                return await failure { () async throws(ConnectionFailure) in
                    let reply = try await transport.send(command, keys: 0..<0, limit: .seconds(5))
                    #expect(reply == .bytes(Array("\(index)".utf8)))
                    return reply
                }
            }
        }
        for index in stride(from: 0, to: 200, by: 2) { calls[index].cancel() }
        for index in stride(from: 1, to: 200, by: 2) {
            let failure = await calls[index].value
            #expect(failure == nil, "\(String(describing: failure))")
        }
        await transport.close()
    }

    @Test func aClosedTransportSendsNothing() async throws {
        let server = try RedisServer()
        let transport = ValkeyTransport.connect(to: server.valkeyAddress)
        await transport.close()
        let failure = await failure { () async throws(ConnectionFailure) in
            try await transport.send(command("PING"), keys: 0..<0, limit: .seconds(20))
        }
        #expect(failure?.isSent == false)
    }

    @Test func anACLUserIsAuthenticated() async throws {
        let server = try RedisServer("--user", "ada", "on", ">secret", "~*", "+@all")
        let configuration = ValkeyClientConfiguration(
            authentication: .init(username: "ada", password: "secret")
        )
        let transport = ValkeyTransport.connect(to: server.valkeyAddress, configuration: configuration)
        let reply = try await transport.send(command("ACL", "WHOAMI"), keys: 0..<0, limit: .seconds(20))
        #expect(reply == .bytes(Array("ada".utf8)))
        await transport.close()
    }

    @Test func aCommandThatEndedUnsentIsNeverSent() {
        let command = BinaryCommand([Array("INCR".utf8), Array("n".utf8)], keys: 1..<2)
        #expect(!command.progress.end())
        #expect(!command.progress.begin())
        #expect(Array(command.keysAffected) == ["n"])
    }
}
#endif
