import Benchmark
import Workloads

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration.metrics = [.wallClock]
    Benchmark.defaultConfiguration.maxDuration = .seconds(1)

    for workload in Workload.allCases {
        // Two tasks need many calls to run at the same time.
        let scale: BenchmarkScalingFactor = workload.usesTwoTasks ? .mega : .kilo
        Benchmark(workload.rawValue, configuration: .init(scalingFactor: scale)) { benchmark in
            try await workload.run(benchmark.scaledIterations.count)
        }
    }
}
