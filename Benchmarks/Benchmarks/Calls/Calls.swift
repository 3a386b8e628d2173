import Benchmark
import Retry
import Timeout

/// The textbook timeout: the operation and a sleep in a task group, whoever ends first.
///
/// The baseline.
func withTaskGroupTimeout<Success: Sendable>(
    _ limit: Duration,
    operation: @escaping @Sendable () async throws -> Success
) async throws -> Success {
    try await withThrowingTaskGroup(of: Success.self) { group in
        group.addTask { try await operation() }
        group.addTask {
            try await Task.sleep(for: limit)
            throw CancellationError()
        }
        defer { group.cancelAll() }
        guard let success = try await group.next() else { throw CancellationError() }
        return success
    }
}

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration.metrics = [.wallClock, .throughput]
    Benchmark.defaultConfiguration.scalingFactor = .kilo
    Benchmark.defaultConfiguration.maxDuration = .seconds(3)

    Benchmark("timeout, no suspension: task group + sleep (baseline)") { benchmark in
        for _ in benchmark.scaledIterations {
            blackHole(try await withTaskGroupTimeout(.seconds(30)) { 1 })
        }
    }

    Benchmark("timeout, no suspension: withTimeout") { benchmark in
        for _ in benchmark.scaledIterations {
            blackHole(try await withTimeout(.seconds(30)) { 1 })
        }
    }

    Benchmark("timeout, one suspension: task group + sleep (baseline)") { benchmark in
        for _ in benchmark.scaledIterations {
            try await withTaskGroupTimeout(.seconds(30)) { await Task.yield() }
        }
    }

    Benchmark("timeout, one suspension: withTimeout") { benchmark in
        for _ in benchmark.scaledIterations {
            try await withTimeout(.seconds(30)) { await Task.yield() }
        }
    }

    let retry = RetryPolicy(.idempotent, maxAttempts: 3)
    Benchmark("retry that succeeds at once: RetryPolicy") { benchmark in
        for _ in benchmark.scaledIterations {
            blackHole(try await retry.run { 1 })
        }
    }
}
