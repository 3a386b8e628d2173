import Foundation
import ReliabilityCore
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

    @Test("a page of a scan ends after about 1 MiB of values, and the pages have all entries")
    func pages() async throws {
        let server = try RedisServer.shared.get()
        let recorder = Lock<RecordingTransport?>(nil)
        let store = try await server.store(through: { transport in
            let recording = RecordingTransport(transport)
            recorder.withLock { $0 = recording }
            return recording
        })
        let keys = (0..<10).map { StoreKey(Keyspace("k"), "\($0)") }
        let value = Array(repeating: UInt8(1), count: 400_000)
        for key in keys { _ = try await store.commit(.put(key, value, .never, if: .any)) }
        var found: [StoreKey] = []
        var after: StoreKey?
        repeat {
            let page = try await store.scan(StoreKey(Keyspace("k")), after: after, limit: 256)
            #expect(page.entries.count <= 3 && page.entries.allSatisfy { $0.entry.value == value })
            let reply = recorder.withLock { $0 }?.lastReply.withLock { $0 }
            if case .array(let parts)? = reply { #expect(parts.count <= 4) }
            found += page.entries.map(\.key)
            after = page.next
        } while after != nil
        #expect(found == keys)
        store.close()
    }

    @Test("N10: a script takes less than 5 milliseconds at its limits")
    func durations() async throws {
        let server = try RedisServer()
        try await server.command("PING")
        let store = try await server.store()
        let value = Array(repeating: UInt8(1), count: 1024)
        let keys = (0..<128).map { StoreKey(Keyspace("k"), "\($0)") }
        let queue = QueueName("q")
        var durations: [String: Int] = [:]
        // The shortest duration of each script, because other processes interrupt the server.
        func measure<Success>(_ name: String, _ call: () async throws -> Success) async throws -> Success {
            try await server.command("CONFIG", "RESETSTAT")
            let success = try await call()
            guard case .bytes(let text) = try await server.command("INFO", "commandstats") else { return success }
            let fields = String(decoding: text, as: UTF8.self).split(whereSeparator: \.isNewline)
            let line = try #require(fields.first { $0.hasPrefix("cmdstat_evalsha:") })
            let field = try #require(line.split(separator: ",").first { $0.hasPrefix("usec=") })
            durations[name] = min(durations[name] ?? .max, try #require(Int(field.dropFirst(5))))
            return success
        }
        for round in 0..<10 {
            _ = try await measure("commit") { try await store.commit(keys.map { .put($0, value, .never, if: .any) }) }
            _ = try await measure("get") { try await store.get(keys) }
            _ = try await measure("enqueue") {
                try await store.enqueue((0..<128).map { NewRecord(queue: queue, id: "\(round)-\($0)", payload: value) })
            }
            let claims = try await measure("claim") { try await store.claim(queue, limit: 128, lease: .seconds(60)) }
            #expect(claims.count == 128)
            _ = try await measure("settle") { try await store.settle(claims.map { Settlement($0, .done) }) }
            _ = try await measure("update") {
                try await store.update(
                    (0..<128).map {
                        (StoreKey(Keyspace("u"), "\($0)"), .gcra(interval: .seconds(1), burst: 100, cost: 1))
                    }
                )
            }
        }
        #expect(durations.count == 6 && durations.values.allSatisfy { $0 < 5000 }, "\(durations)")
        store.close()
    }
}

extension RedisScript: CustomTestStringConvertible {
    /// The name of the script.
    public var testDescription: String { name }
}
