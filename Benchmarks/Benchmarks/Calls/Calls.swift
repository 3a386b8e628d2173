import Benchmark
import Workloads

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration.metrics = [.wallClock]
    Benchmark.defaultConfiguration.scalingFactor = .kilo
    Benchmark.defaultConfiguration.maxDuration = .seconds(1)

    for workload in Workload.allCases {
        Benchmark(workload.rawValue) { benchmark in
            try await workload.run(benchmark.scaledIterations.count)
        }
    }
}
