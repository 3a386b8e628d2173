// swift-tools-version: 6.2
import PackageDescription

// The thread sanitizer cannot see the lock inside `Synchronization.Mutex` and reports every access under it.
// `RELIABILITY_SANITIZE=thread swift test --sanitize thread` builds the library's one lock on `pthread_mutex` instead.
let underThreadSanitizer = Context.environment["RELIABILITY_SANITIZE"] == "thread"

/// A library target with its product; `Tests/<name>Tests` is declared beside it below.
func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies)
}

func tests(_ name: String, _ dependencies: [String] = []) -> Target {
    .testTarget(
        name: "\(name)Tests",
        dependencies: Set([name, "ReliabilityCore", "ReliabilityTesting"] + dependencies).sorted().map {
            .byName(name: $0)
        }
    )
}

let libraries = [
    "ReliabilityCore", "ReliabilityStore", "ReliabilityFileStore",
    "Timeout", "Retry", "CircuitBreaker", "RateLimiter", "Dedup", "Validation", "ErrorContract", "Outbox",
    "Reliability", "ReliabilityTesting",
]

let package = Package(
    name: "swift-reliability",
    platforms: [.macOS(.v15), .iOS(.v18), .tvOS(.v18), .watchOS(.v11), .visionOS(.v2)],
    products: libraries.map { .library(name: $0, targets: [$0]) } + [.executable(name: "orders", targets: ["orders"])],
    targets: [
        // Floor 0
        module("ReliabilityCore"),
        // Floor 1
        module("ReliabilityStore", ["ReliabilityCore"]),
        module("ReliabilityFileStore", ["ReliabilityCore", "ReliabilityStore"]),
        // Floor 2: calls
        module("Timeout", ["ReliabilityCore"]),
        module("Retry", ["ReliabilityCore"]),
        module("CircuitBreaker", ["ReliabilityCore"]),
        module("RateLimiter", ["ReliabilityCore", "ReliabilityStore"]),
        // Floor 2: durable
        module("Dedup", ["ReliabilityCore", "ReliabilityStore"]),
        module("Outbox", ["ReliabilityCore", "ReliabilityStore", "Retry"]),
        // Floor 2: boundary
        module("Validation", ["ReliabilityCore"]),
        module("ErrorContract", ["ReliabilityCore"]),
        // Floor 3
        module(
            "Reliability",
            [
                "ReliabilityCore", "ReliabilityStore", "ReliabilityFileStore", "Timeout", "Retry", "CircuitBreaker",
                "RateLimiter", "Dedup", "Outbox", "Validation", "ErrorContract",
            ]
        ),
        // Beside
        module("ReliabilityTesting", ["ReliabilityCore", "ReliabilityStore"]),
        .executableTarget(name: "orders", dependencies: ["Reliability"], path: "Examples/orders"),

        tests("ReliabilityCore"),
        tests("ReliabilityStore"),
        .executableTarget(
            name: "ReliabilityCrashChild",
            dependencies: ["ReliabilityCore", "ReliabilityFileStore", "ReliabilityStore"],
            path: "Tests/ReliabilityCrashChild"
        ),
        .target(
            name: "StoreSimulation",
            dependencies: ["ReliabilityCore", "ReliabilityFileStore", "ReliabilityStore"],
            path: "Tests/StoreSimulation"
        ),
        .target(
            name: "CallSimulation",
            dependencies: [
                "ReliabilityCore", "ReliabilityStore", "Timeout", "Retry", "CircuitBreaker", "RateLimiter", "Dedup",
                "Outbox", "Reliability", "ReliabilityTesting",
            ],
            path: "Tests/CallSimulation"
        ),
        .target(name: "CheckSupport", path: "Tests/CheckSupport"),
        .executableTarget(
            name: "StoreCheck",
            dependencies: ["CheckSupport", "StoreSimulation"],
            path: "Tests/StoreCheck"
        ),
        .executableTarget(
            name: "CallCheck",
            dependencies: [
                "CallSimulation", "CheckSupport", "ReliabilityCore", "Timeout", "Retry", "CircuitBreaker",
                "ReliabilityTesting",
            ],
            path: "Tests/CallCheck"
        ),
        .testTarget(
            name: "CallSimulationTests",
            dependencies: ["CallSimulation", "Retry"],
            path: "Tests/CallSimulationTests"
        ),
        tests("ReliabilityFileStore", ["ReliabilityStore", "ReliabilityCrashChild", "StoreSimulation"]),
        tests("Timeout"),
        tests("Retry"),
        tests("CircuitBreaker"),
        tests("RateLimiter", ["ReliabilityStore"]),
        tests("Dedup", ["ReliabilityStore", "ReliabilityFileStore"]),
        tests("Outbox", ["ReliabilityStore", "ReliabilityFileStore", "Retry"]),
        tests("Validation"),
        tests("ErrorContract"),
        tests("Reliability"),
        tests("ReliabilityTesting", ["ReliabilityStore"]),
        .testTarget(name: "OrdersTests", dependencies: ["orders", "Validation"]),
    ]
)

// `RELIABILITY_FUZZ=1` adds the fuzzers of the file store; `.ci/fuzz` builds them with libFuzzer.
if Context.environment["RELIABILITY_FUZZ"] == "1" {
    package.targets.append(
        .executableTarget(
            name: "StoreFuzz",
            dependencies: ["ReliabilityCore", "ReliabilityFileStore", "ReliabilityStore", "StoreSimulation"],
            path: "Tests/StoreFuzz"
        )
    )
}

for target in package.targets {
    var settings: [SwiftSetting] = target.swiftSettings ?? []
    settings += [
        .swiftLanguageMode(.v6),
        // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0458-strict-memory-safety.md
        .strictMemorySafety(),
        // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0335-existential-any.md
        .enableUpcomingFeature("ExistentialAny"),
        // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0409-access-level-on-imports.md
        .enableUpcomingFeature("InternalImportsByDefault"),
        // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0444-member-import-visibility.md
        .enableUpcomingFeature("MemberImportVisibility"),
        // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0461-async-function-isolation.md
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0470-isolated-conformances.md
        .enableUpcomingFeature("InferIsolatedConformances"),
        // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0481-weak-let.md
        .enableUpcomingFeature("ImmutableWeakCaptures"),
        // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0480-swiftpm-warning-control.md
        .treatAllWarnings(as: .error),
    ]
    if underThreadSanitizer { settings.append(.define("RELIABILITY_SANITIZE_THREAD")) }
    target.swiftSettings = settings
}
