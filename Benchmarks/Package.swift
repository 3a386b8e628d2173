// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "swift-reliability", path: ".."),
        // Its traits stay off: the default one needs jemalloc.
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    ],
    targets: [
        .executableTarget(
            name: "Calls",
            dependencies: [
                .product(name: "Timeout", package: "swift-reliability"),
                .product(name: "Retry", package: "swift-reliability"),
                .product(name: "Benchmark", package: "benchmark"),
            ],
            path: "Benchmarks/Calls",
            swiftSettings: [.swiftLanguageMode(.v6), .enableUpcomingFeature("NonisolatedNonsendingByDefault")],
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]
        )
    ]
)
