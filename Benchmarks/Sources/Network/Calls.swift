import Foundation
import ReliabilityStore

/// Measures calls with the numbers from 0, from a number of tasks.
///
/// The first eighth of the calls is a warm-up. The figures are the calls a second, the processor time of the process for
/// a call and, for a single task, the median of the times of the calls.
func measureCalls(
    _ count: Int,
    _ tasks: Int,
    _ call: @escaping @Sendable (_ number: Int) async throws -> Void
) async throws -> Network.Figures {
    let warmUp = count / 8
    _ = try await run(0..<warmUp, tasks, call)
    let processor = processorTime()
    let start = ContinuousClock.now
    let times = try await run(warmUp..<count, tasks, call)
    let elapsed = ContinuousClock.now - start
    let calls = Double(count - warmUp)
    return [
        "perSecond": calls / (elapsed / .seconds(1)),
        "processor": (processorTime() - processor) / .microseconds(1) / calls,
        "median": (times.sorted().dropFirst(times.count / 2).first ?? .zero) / .microseconds(1),
    ]
}

private func run(
    _ numbers: Range<Int>,
    _ tasks: Int,
    _ call: @escaping @Sendable (_ number: Int) async throws -> Void
) async throws -> [Duration] {
    if tasks == 1 {
        var times: [Duration] = []
        times.reserveCapacity(numbers.count)
        for number in numbers {
            let start = ContinuousClock.now
            try await call(number)
            times.append(ContinuousClock.now - start)
        }
        return times
    }
    try await withThrowingTaskGroup { group in
        for task in 0..<tasks {
            group.addTask {
                for number in stride(from: numbers.lowerBound + task, to: numbers.upperBound, by: tasks) {
                    try await call(number)
                }
            }
        }
        try await group.waitForAll()
    }
    return []
}

/// The time that the processors have spent on this process, in the program and in the system.
private func processorTime() -> Duration {
    var usage = rusage()
    #if canImport(Darwin)
    getrusage(RUSAGE_SELF, &usage)
    #else
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    #endif
    return [usage.ru_utime, usage.ru_stime].reduce(.zero) {
        $0 + .seconds(Int64($1.tv_sec)) + .microseconds(Int64($1.tv_usec))
    }
}

/// The content of all measurements.
enum Content {
    static let keyspace = Keyspace("k")
    static let value = [UInt8](repeating: 0x61, count: 40)
    static let payload = [UInt8](repeating: 0x61, count: 100)

    /// A key in a keyspace without scans.
    ///
    /// The keys of all numbers are in no order, as the keys of redis-benchmark.
    static func key(_ number: Int) -> StoreKey { StoreKey(keyspace, digits(number &* 48_271 % 1_000_000_007)) }

    /// A number as 12 digits.
    static func digits(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 12 - digits.count) + digits
    }
}
