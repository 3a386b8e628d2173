import Foundation
import ReliabilityStore
import Testing

@testable import ReliabilityRedis

@Suite("Scripts", .enabled(if: RedisServer.isEnabled))
struct RedisScriptTests {
    @Test("the digest of a script in the source is that of the server", arguments: RedisScript.all)
    func digest(script: RedisScript) async throws {
        let source = String(decoding: script.source, as: UTF8.self)
        let reply = try await RedisServer.shared.get().command("SCRIPT", "LOAD", source)
        guard case .bytes(let digest) = reply else { throw StoreError(.failed, "\(reply)") }
        #expect(String(decoding: script.digest, as: UTF8.self) == String(decoding: digest, as: UTF8.self))
    }
}

extension RedisScript: CustomTestStringConvertible {
    /// The name of the script.
    public var testDescription: String { name }
}
