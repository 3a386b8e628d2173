import Foundation

/// `Network MEASUREMENT ADDRESS COUNT TASKS`: makes a measurement on a server and prints the figures as one JSON line.
///
/// `Benchmarks/network` starts the servers and runs this program for each row of the table. The count is the number of
/// commands or messages.
@main
struct Network {
    typealias Figures = [String: Double]
    typealias Measurement = @Sendable (_ address: String, _ count: Int, _ tasks: Int) async throws -> Figures

    static let measurements: [String: Measurement] = [
        "redis.record": recordRedisCommands,
        "redis.get": measureRedisGets,
        "redis.claim": measureRedisClaims,
        "redis.limit": measureRedisLimits,
        "redis.raw": measureRawCommands,
        "postgres.migrate": migratePostgres,
        "postgres.commit": measurePostgresCommits,
        "postgres.counter": measurePostgresCounter,
        "postgres.counter-snapshot": measurePostgresCounterBesideSnapshot,
        "postgres.outbox": measurePostgresOutbox,
        "postgres.batches": measurePostgresBatches,
    ]

    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 5, let measurement = measurements[arguments[1]],
            let count = Int(arguments[3]), let tasks = Int(arguments[4])
        else {
            print("usage: Network MEASUREMENT ADDRESS COUNT TASKS, with a measurement of:")
            for name in measurements.keys.sorted() { print("  \(name)") }
            exit(64)
        }
        let figures = try await run(measurement, arguments[2], count, tasks)
        let fields = figures.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }
        print("{\(fields.joined(separator: ", "))}")
    }

    // Not on the main actor: each call would pay for the way back to the main thread.
    @concurrent private static func run(
        _ measurement: Measurement,
        _ address: String,
        _ count: Int,
        _ tasks: Int
    ) async throws -> Figures {
        try await measurement(address, count, tasks)
    }
}
