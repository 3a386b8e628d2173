import Foundation
import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import Testing

@testable import store_inspector

/// The commands of the inspector on stores in real directories.
@Suite("store-inspector", .timeLimit(.minutes(30)))
struct StoreInspectorTests {
    private struct Run {
        var code: Int32
        var output: String
        var error: String
        var lines: [Substring] { output.split(separator: "\n") }
    }

    private func run(_ arguments: String...) async -> Run {
        let texts = Lock((output: "", error: ""))
        let console = Console(
            output: { text in texts.withLock { $0.output += text } },
            error: { text in texts.withLock { $0.error += text } },
            isTerminal: false
        )
        let code = await Inspector(console).run(arguments)
        let (output, error) = texts.withLock { $0 }
        return Run(code: code, output: output, error: error)
    }

    private func withDirectory(_ body: (String) async throws -> Void) async throws {
        let path = FileManager.default.temporaryDirectory
            .appendingPathComponent("inspector-\(randomHexadecimal(bytes: 8))").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await body(path)
    }

    private func key(_ name: String) -> StoreKey { StoreKey("test", name) }

    /// Makes a closed store with checkpoint files, several segments and dead letters.
    private func fill(_ path: String) async throws {
        let tuning = LogTuning(growth: 4096, compactionMinimum: 1 << 30, checkpointSize: 4096)
        let store = try FileStore(at: path, tuning: tuning)
        for number in 0..<12 { try await put(store, "old\(number)") }
        try await store.compact()
        for number in 0..<24 { try await put(store, "new\(number)") }
        _ = try await store.enqueue(["1", "2", "3"].map { NewRecord(queue: "q", id: $0, payload: [1]) })
        let claims = try await store.claim("q", limit: 2, lease: .seconds(60))
        _ = try await store.settle(claims.map { Settlement($0, .deadLetter(reason: "broken")) })
        await store.close()
    }

    private func put(_ store: FileStore, _ name: String) async throws {
        _ = try await store.commit([
            .put(key(name), Array("secret of \(name)".utf8) + [UInt8](repeating: 32, count: 900), .never, if: .any)
        ])
    }

    private func files(_ path: String) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: path) {
            files[name] = try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)"))
        }
        return files
    }

    private func names(_ path: String, _ prefix: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path).filter { $0.hasPrefix(prefix) }.sorted()
    }

    private func change(_ file: String, _ body: (inout Data) -> Void) throws {
        var data = try Data(contentsOf: URL(fileURLWithPath: file))
        body(&data)
        try data.write(to: URL(fileURLWithPath: file))
    }

    private func entries(_ path: String) async throws -> [String] {
        let store = try await FileStore.open(at: path)
        let page = try await store.scan(StoreKey("test"), after: nil, limit: 1000)
        await store.close()
        return page.entries.map { $0.key.parts[1] }
    }

    enum Harm: String, CaseIterable {
        case bitInCheckpoint, bitInSegment, missingSegment, truncatedSegment, missingCheckpoint, foreignCheckpoint
        case damagedLock
    }

    @Test("a damaged store is reported and copied, and stays as it is", arguments: Harm.allCases)
    func salvage(harm: Harm) async throws {
        try await withDirectory { path in
            let store = path + "/store"
            try await fill(store)
            let checkpoints = try names(store, "checkpoint-")
            let segments = try names(store, "log-")
            try #require(checkpoints.count > 1 && segments.count > 2)
            let middle = "\(store)/\(segments[segments.count / 2])"
            var lost = true
            switch harm {
            case .bitInCheckpoint: try change("\(store)/\(checkpoints[0])") { $0[700] ^= 1 }
            case .bitInSegment: try change(middle) { $0[1100] ^= 1 }
            case .missingSegment: try FileManager.default.removeItem(atPath: middle)
            case .truncatedSegment: try change(middle) { $0 = $0.prefix(1536) }
            case .missingCheckpoint: try FileManager.default.removeItem(atPath: "\(store)/\(checkpoints[0])")
            case .foreignCheckpoint:
                try await fill(path + "/other")
                let other = try Data(contentsOf: URL(fileURLWithPath: "\(path)/other/\(checkpoints[0])"))
                try other.write(to: URL(fileURLWithPath: "\(store)/\(checkpoints[0])"))
            case .damagedLock:
                try change("\(store)/LOCK") { $0[40] ^= 1 }
                lost = false
            }
            let before = try files(store)
            let verified = await run("verify", store)
            #expect(verified.code == (lost ? 1 : 0), "\(verified.output)\(verified.error)")
            if lost { #expect(verified.lines.first?.hasPrefix("damaged: ") == true) }
            let salvaged = await run("salvage", store, path + "/copy", "--json")
            #expect(salvaged.code == (lost ? 1 : 0), "\(salvaged.output)\(salvaged.error)")
            #expect(try files(store) == before)
            #expect(await run("verify", path + "/copy").code == 0)
            let found = try await entries(path + "/copy")
            #expect(lost ? found.count < 36 && found.count > 12 : found.count == 36)
            // The changes after the damage are there.
            #expect(found.contains("new23"))
            let again = await run("salvage", store, path + "/copy")
            #expect(again.code == 3 && again.error.contains("not empty"))
        }
    }

    @Test("list, show, stats, queues and dead letters show no values unless asked")
    func reading() async throws {
        try await withDirectory { path in
            let store = path + "/store"
            try await fill(store)
            let list = await run("list", store, "--limit", "3")
            #expect(list.code == 0 && list.lines.count == 3 && !list.output.contains("secret"))
            #expect(list.lines[0].hasPrefix("test new0  version "))
            let values = await run("list", store, "--values", "--json", "--keyspace", "test")
            #expect(values.lines.count == 36 && values.output.contains("\"value\":\"secret of new0"))
            #expect(await run("list", store, "--keyspace", "none").output.isEmpty)
            let show = await run("show", store, "test", "old3", "--values")
            #expect(show.code == 0 && show.output.contains("secret of old3"))
            #expect(await run("show", store, "test", "none").code == 3)
            let stats = await run("stats", store, "--json")
            #expect(stats.output.contains("\"entries\":36") && stats.output.contains("\"records\":3"))
            let queues = await run("queues", store)
            #expect(queues.output.hasPrefix("q  1 pending (0 claimed), 2 dead letters"))
            let dead = await run("dead-letters", store, "q")
            #expect(dead.lines.count == 2 && dead.output.contains("broken") && !dead.output.contains("hex:01"))
            #expect(await run("dead-letters", store, "q", "--values").output.contains("hex:01"))
        }
    }

    @Test("a redrive changes nothing without --apply")
    func redrive() async throws {
        try await withDirectory { path in
            let store = path + "/store"
            try await fill(store)
            let before = try files(store)
            let plan = await run("redrive", store, "q")
            #expect(plan.code == 0 && plan.output.contains("would redrive: 1") && plan.lines.count == 3)
            #expect(try files(store) == before)
            let applied = await run("redrive", store, "q", "--id", "2", "--apply", "--json")
            #expect(applied.output == "{\"id\":\"2\",\"isApplied\":true}\n")
            #expect(await run("dead-letters", store, "q").lines.count == 1)
            #expect(await run("queues", store).output.hasPrefix("q  2 pending"))
        }
    }

    @Test("compact and snapshot keep the content")
    func copies() async throws {
        try await withDirectory { path in
            let store = path + "/store"
            try await fill(store)
            let all = try await entries(store)
            #expect(await run("compact", store).code == 0)
            let snapshot = await run("snapshot", store, path + "/copy")
            #expect(snapshot.code == 0 && snapshot.output == "copied 36 entries and 3 records\n")
            #expect(try await entries(path + "/copy") == all)
            #expect(try await entries(store) == all)
            let inside = await run("snapshot", store, store + "/copy")
            #expect(inside.code == 3 && inside.error.contains("inside"))
            #expect(await run("compact", path + "/missing").code == 3)
            #expect(!FileManager.default.fileExists(atPath: path + "/missing"))
            // A directory of something else stays as it is.
            try FileManager.default.createDirectory(atPath: path + "/other", withIntermediateDirectories: false)
            #expect(await run("compact", path + "/other").code == 3)
            #expect(await run("redrive", path + "/other", "q", "--apply").code == 3)
            #expect(try names(path + "/other", "").isEmpty)
            // A link to a directory inside the store is a target inside the store.
            try FileManager.default.createDirectory(atPath: store + "/inner", withIntermediateDirectories: false)
            try FileManager.default.createSymbolicLink(atPath: path + "/link", withDestinationPath: store + "/inner")
            #expect(await run("salvage", store, path + "/link").error.contains("inside"))
            // A file without a meaning does not prevent an answer.
            try FileManager.default.createSymbolicLink(atPath: store + "/note", withDestinationPath: "/nonexistent")
            #expect(await run("verify", store).code == 0)
        }
    }

    @Test("a wrong command line has exit code 2 and an explanation")
    func usage() async throws {
        let wrong: [[String]] = [
            [], ["look", "x"], ["list"], ["list", "x", "--apply"], ["list", "x", "--limit", "0"], ["show", "x"],
            ["salvage", "x"], ["list", "x", "--limit"], ["verify", "x", "y"],
        ]
        for arguments in wrong {
            let console = Console(output: { _ in }, error: { _ in }, isTerminal: false)
            #expect(await Inspector(console).run(arguments) == 2, "\(arguments)")
        }
        let help = await run("--help")
        #expect(help.code == 0 && help.output.contains("Exit codes"))
        #expect(await run("verify", "/nonexistent/store").code == 3)
    }

    @Test("text and times")
    func text() {
        #expect(
            plainText([]) == "" && plainText([0xFF, 1]) == "hex:ff01" && plainText(Array("hex:".utf8)) == "hex:6865783a"
        )
        #expect(timeText(0) == "1970-01-01T00:00:00.000Z")
        #expect(timeText(1_780_000_000_123) == "2026-05-28T20:26:40.123Z")
        #expect(timeText(951_782_399_999) == "2000-02-28T23:59:59.999Z")
        #expect(timeText(.min) == "0001-01-01T00:00:00.000Z" && timeText(.max).hasSuffix("Z"))
        #expect(StoreKey(encoded: [0]).parts == ["hex:00"] && StoreKey(encoded: []).parts == [""])
        #expect(timeText(951_782_400_000) == "2000-02-29T00:00:00.000Z")
    }
}
