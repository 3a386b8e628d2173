import Foundation
import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import Testing

@testable import ReliabilityCrashChild

#if os(Linux) || os(macOS)
/// A process that works on a store in a real directory and is killed; `RELIABILITY_KILLS` says how often.
@Suite(.serialized) struct KillTests {
    private static let workers = 4

    private let directory = FileManager.default.temporaryDirectory
        .appendingPathComponent("reliability-\(randomHexadecimal(bytes: 8))").path

    /// Beside the test bundle.
    private static func child() throws -> URL {
        let bundles = CommandLine.arguments.compactMap { argument -> URL? in
            guard let end = argument.range(of: ".xctest") else { return nil }
            return URL(fileURLWithPath: String(argument[..<end.lowerBound]))
        }
        let places = (bundles + [URL(fileURLWithPath: CommandLine.arguments[0])]).map {
            $0.deletingLastPathComponent().appendingPathComponent("ReliabilityCrashChild")
        }
        return try #require(places.first { FileManager.default.isExecutableFile(atPath: $0.path) })
    }

    /// Runs the child, kills it after `kill` lines, and returns all lines that it wrote.
    private func run(_ starts: [Int], seed: UInt64, killAfter limit: Int) async throws -> [String] {
        let child = try Self.child()
        let directory = directory
        return try await withCheckedThrowingContinuation { continuation in
            startThread {
                do {
                    let process = Process()
                    let pipe = Pipe()
                    process.executableURL = child
                    process.arguments = [directory, "\(seed)", starts.map(String.init).joined(separator: ",")]
                    process.standardOutput = pipe
                    try process.run()
                    var bytes: [UInt8] = []
                    var lines = 0
                    if limit == 0 { kill(process.processIdentifier, SIGKILL) }
                    while true {
                        let more = pipe.fileHandleForReading.availableData
                        if more.isEmpty { break }
                        bytes += more
                        let before = lines
                        lines += more.count { $0 == UInt8(ascii: "\n") }
                        if before < limit, lines >= limit { kill(process.processIdentifier, SIGKILL) }
                    }
                    process.waitUntilExit()
                    let text = String(decoding: bytes, as: UTF8.self)
                    continuation.resume(returning: text.split(separator: "\n").map(String.init))
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }

    @Test func `a process that is killed loses nothing that it acknowledged`() async throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let environment = ProcessInfo.processInfo.environment
        let cycles = environment["RELIABILITY_KILLS"].flatMap { Int($0) } ?? 20
        let seed = environment["RELIABILITY_SEED"].flatMap { UInt64($0) } ?? 42
        var generator = SeededGenerator(seed)
        var done = [Int](repeating: 0, count: Self.workers)
        var lastVersion: UInt64 = 0

        for cycle in 0..<cycles {
            let limit = cycle % 7 == 6 ? 0 : Int.random(in: 1...400, using: &generator)
            let lines = try await run(done, seed: seed, killAfter: limit)
            var versions = [UInt64](repeating: lastVersion, count: Self.workers)
            for line in lines {
                let words = line.split(separator: " ")
                if words.first == "open" {
                    let opened = try #require(UInt64(words[1]))
                    #expect(opened > lastVersion, "cycle \(cycle), seed \(seed)")
                    continue
                }
                try #require(words.count == 3, "cycle \(cycle), seed \(seed): \(line)")
                let numbers = try words.map { try #require(UInt64($0)) }
                let worker = Int(numbers[0])
                done[worker] += 1
                #expect(Int(numbers[1]) == done[worker], "cycle \(cycle), seed \(seed)")
                if numbers[2] > 0 {
                    #expect(numbers[2] > versions[worker], "cycle \(cycle), seed \(seed)")
                    versions[worker] = numbers[2]
                }
            }
            lastVersion = max(lastVersion, versions.max() ?? 0)

            let store = try await FileStore.open(at: directory)
            #expect(!store.recovery.wasClosed || limit == 0)
            for worker in 0..<Self.workers {
                let workload = Workload(worker: worker, seed: seed)
                let content = try await workload.content(of: store)
                if content == workload.content(after: done[worker]) { continue }
                // The step that was under way may have happened, as a whole.
                done[worker] += 1
                #expect(
                    content == workload.content(after: done[worker]),
                    "cycle \(cycle), seed \(seed): worker \(worker) after step \(done[worker])"
                )
            }
            await store.close()
        }
        #expect(done.reduce(0, +) > cycles)
    }

    @Test func `a second process is refused and the first is unaffected`() async throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let store = try await FileStore.open(at: directory)
        #expect(try await run([0], seed: 1, killAfter: 1000) == ["locked"])
        try await store.put("a", [1])
        await store.close()
    }
}
#endif
