import Foundation
import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import CrashChild

#if os(Linux) || os(macOS)
/// A process with a store in a real directory is killed.
///
/// `RELIABILITY_KILLS` is the number of kills. `RELIABILITY_SEED` is the seed of the work.
@Suite("FileStore in a killed process", .serialized)
struct FileStoreKillTests {
    private static let workers = 4

    private let directory = FileManager.default.temporaryDirectory
        .appendingPathComponent("reliability-\(randomHexadecimal(bytes: 8))").path

    /// The executable of the child, which is next to the test bundle.
    private static func child() throws -> URL {
        let bundles = CommandLine.arguments.compactMap { argument -> URL? in
            guard let end = argument.range(of: ".xctest") else { return nil }
            return URL(fileURLWithPath: String(argument[..<end.lowerBound]))
        }
        let places = (bundles + [URL(fileURLWithPath: CommandLine.arguments[0])]).map {
            $0.deletingLastPathComponent().appendingPathComponent("CrashChild")
        }
        return try #require(places.first { FileManager.default.isExecutableFile(atPath: $0.path) })
    }

    /// The time at which a process is killed.
    private enum End {
        case afterLines(Int)
        /// The process is probably still opening the store.
        case after(Duration)

        init(using generator: inout SeededGenerator) {
            self =
                switch Int.random(in: 0..<10, using: &generator) {
                case 0, 1: .after(.microseconds(.random(in: 0...12_000, using: &generator)))
                case 2..<8: .afterLines(.random(in: 1...60, using: &generator))
                default: .afterLines(.random(in: 1...300, using: &generator))
                }
        }
    }

    /// Runs the child, kills the child and returns the lines that it wrote.
    private func run(_ starts: [Int], seed: UInt64, killed end: End) async throws -> [String] {
        let child = try Self.child()
        let directory = directory
        return try await withCheckedThrowingContinuation { continuation in
            tryToStartThread {
                do {
                    let process = Process()
                    let pipe = Pipe()
                    process.executableURL = child
                    process.arguments = [directory, "\(seed)", starts.map(String.init).joined(separator: ",")]
                    process.standardOutput = pipe
                    try process.run()
                    var bytes: [UInt8] = []
                    var lines = 0
                    var limit = Int.max
                    switch end {
                    case .afterLines(let count): limit = count
                    case .after(let duration):
                        let moment = ContinuousClock.now + duration
                        while ContinuousClock.now < moment {}
                        kill(process.processIdentifier, SIGKILL)
                    }
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

    @Test("a killed process loses no acknowledged write")
    func acknowledged() async throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let environment = ProcessInfo.processInfo.environment
        let cycles = environment["RELIABILITY_KILLS"].flatMap { Int($0) } ?? 50
        let seed = environment["RELIABILITY_SEED"].flatMap { UInt64($0) } ?? 42
        var generator = SeededGenerator(seed: seed)
        let workloads = (0..<Self.workers).map { Workload(worker: $0, seed: seed) }
        var done = [Int](repeating: 0, count: Self.workers)
        var contents = [Workload.Content](repeating: .init(), count: Self.workers)
        var lastVersion: UInt64 = 0

        for cycle in 0..<cycles {
            let again: Comment = """
                cycle \(cycle); again, though not with the same timing:
                RELIABILITY_KILLS=\(cycle + 1) RELIABILITY_SEED=\(seed) swift test --filter FileStoreKillTests
                """
            let lines = try await run(done, seed: seed, killed: End(using: &generator))
            var versions = [UInt64](repeating: lastVersion, count: Self.workers)
            var hasOpened = false
            for line in lines {
                let words = line.split(separator: " ")
                if words.first == "open" {
                    hasOpened = true
                    let opened = try #require(UInt64(words[1]), again)
                    #expect(opened > lastVersion, again)
                    continue
                }
                try #require(words.count == 3, "\(line) in \(again)")
                let numbers = try words.map { try #require(UInt64($0), again) }
                let worker = Int(numbers[0])
                done[worker] += 1
                contents[worker] = workloads[worker].content(contents[worker], after: done[worker])
                #expect(Int(numbers[1]) == done[worker], again)
                if numbers[2] > 0 {
                    #expect(numbers[2] > versions[worker], again)
                    versions[worker] = numbers[2]
                }
            }
            lastVersion = max(lastVersion, versions.max() ?? 0)

            let store = try FileStore(at: directory, tuning: Child.tuning)
            #expect(!(store.recovery.wasClosed && hasOpened), again)
            for worker in 0..<Self.workers {
                let content = try await workloads[worker].content(of: store)
                if content == contents[worker] { continue }
                // The unacknowledged step may have happened as a whole.
                done[worker] += 1
                contents[worker] = workloads[worker].content(contents[worker], after: done[worker])
                try #require(content == contents[worker], "worker \(worker), step \(done[worker]), \(again)")
            }
            await store.close()
        }
        #expect(done.reduce(0, +) > cycles)
    }

    @Test("a second process is rejected, and the first is unaffected")
    func secondProcess() async throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let store = try await FileStore.open(at: directory)
        #expect(try await run([0], seed: 1, killed: .afterLines(1000)) == ["locked"])
        try await store.put("a", [1])
        await store.close()
    }
}
#endif
