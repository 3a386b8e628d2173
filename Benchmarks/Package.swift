// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [.swiftLanguageMode(.v6), .enableUpcomingFeature("NonisolatedNonsendingByDefault")]

let package = Package(
    name: "benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "swift-reliability", path: ".."),
        // Its traits stay off: the default one needs jemalloc.
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: [
        // What is measured: ours, and beside it what one writes without us.
        .target(
            name: "Workloads",
            dependencies: [.product(name: "Reliability", package: "swift-reliability")],
            path: "Sources/Workloads",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "Calls",
            dependencies: ["Workloads", .product(name: "Benchmark", package: "benchmark")],
            path: "Benchmarks/Calls",
            swiftSettings: settings,
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]
        ),
        // Runs one workload a number of times and nothing else, for tools that look at a whole process.
        .executableTarget(
            name: "Once",
            dependencies: ["Workloads"],
            path: "Sources/Once",
            swiftSettings: settings
        ),
        // Prints the table of hit ratios.
        .executableTarget(
            name: "HitRatios",
            dependencies: [.product(name: "Reliability", package: "swift-reliability")],
            path: "Sources/HitRatios",
            swiftSettings: settings
        ),
        .systemLibrary(name: "CMalloc", path: "Sources/CMalloc"),
        // Makes one measurement for the table of `stores` and prints the figures as one JSON line.
        .executableTarget(
            name: "Stores",
            dependencies: [
                "CMalloc",
                .product(name: "Reliability", package: "swift-reliability"),
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            path: "Sources/Stores",
            swiftSettings: settings
        ),
    ]
)

// `RELIABILITY_NETWORK=1` builds only the program of `network`, which needs libpq.
if Context.environment["RELIABILITY_NETWORK"] == "1" {
    package.dependencies = [.package(name: "swift-reliability", path: "..", traits: ["LibPQ"])]
    let products = ["ReliabilityStore", "ReliabilityRedis", "ReliabilityPostgres", "ReliabilityLibPQ", "Outbox"]
    package.targets = [
        .executableTarget(
            name: "Network",
            dependencies: products.map { .product(name: $0, package: "swift-reliability") },
            path: "Sources/Network",
            swiftSettings: settings
        )
    ]
}
