import Foundation

/// `Stores MEASUREMENT DIRECTORY [NUMBER]`: makes a measurement and prints the figures as one JSON line.
///
/// `Benchmarks/stores` runs this program for each row of the table. The number is the number of tasks, threads or keys
/// of the measurement. The directory is empty and receives the files of the measurement.
@main
struct Stores {
    typealias Figures = [String: Double]

    static let measurements: [String: @Sendable (_ directory: String, _ number: Int) async throws -> Figures] = [
        "commits": measureCommits,
        "gets": measureGets,
        "puts": measurePuts,
        "dedup.memory": measureMemoryDedup,
        "dedup.size.file": measureFileDedupSize,
        "dedup.size.memory": measureMemoryDedupSize,
        "outbox": measureOutbox,
        "redrive": measureRedrive,
        "compaction": measureCompaction,
        "open": measureOpening,
        "scan": measureScan,
        "scan.sqlite": measureSQLiteScan,
        "scan.wait": measureWaitBesideScan,
        "size.file": measureFileSize,
        "size.memory": measureMemorySize,
        "size.hand": measureHandSize,
    ]

    static func main() async throws {
        let arguments = CommandLine.arguments
        guard (3...4).contains(arguments.count), let measurement = measurements[arguments[1]] else {
            print("usage: Stores MEASUREMENT DIRECTORY [NUMBER], with a measurement of:")
            for name in measurements.keys.sorted() { print("  \(name)") }
            exit(64)
        }
        let number = arguments.count > 3 ? Int(arguments[3]) ?? 1 : 1
        let figures = try await run(measurement, arguments[2], number)
        let fields = figures.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }
        print("{\(fields.joined(separator: ", "))}")
    }

    // Not on the main actor: each call would pay for the way back to the main thread.
    @concurrent static func run(
        _ measurement: @Sendable (String, Int) async throws -> Figures,
        _ directory: String,
        _ number: Int
    ) async throws -> Figures {
        try await measurement(directory, number)
    }
}
