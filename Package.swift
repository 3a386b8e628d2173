// swift-tools-version: 6.2
import PackageDescription

// The thread sanitizer cannot see the lock inside `Synchronization.Mutex` and reports every access under it.
// `RELIABILITY_SANITIZE=thread swift test --sanitize thread` builds the library's one lock on `pthread_mutex` instead.
let underThreadSanitizer = Context.environment["RELIABILITY_SANITIZE"] == "thread"

/// A library target, with its sources in `Sources` and its product in `libraries`.
func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies)
}

/// A target of the checks in `Tools`, which are no part of a product.
func tool(_ name: String, _ dependencies: [Target.Dependency], isExecutable: Bool = false) -> Target {
    isExecutable
        ? .executableTarget(name: name, dependencies: dependencies, path: "Tools/\(name)")
        : .target(name: name, dependencies: dependencies, path: "Tools/\(name)")
}

/// The tests of a library target.
func tests(_ name: String, _ dependencies: [String] = []) -> Target {
    .testTarget(
        name: "\(name)Tests",
        dependencies: Set([name, "ReliabilityCore", "ReliabilityTesting", "TestSupport"] + dependencies).sorted().map {
            .byName(name: $0)
        }
    )
}

let libraries = [
    "ReliabilityCore", "ReliabilityStore", "ReliabilityFileStore", "ReliabilityRedis",
    "Timeout", "Retry", "CircuitBreaker", "Bulkhead", "RateLimiter", "Dedup", "Validation", "ErrorContract", "Outbox",
    "ReliabilityCache", "Reliability", "ReliabilityWebhooks", "ReliabilityTesting", "ReliabilityStoreTesting",
    "ReliabilityPostgres", "ReliabilityLibPQ",
]

let package = Package(
    name: "swift-reliability",
    platforms: [.macOS(.v15), .iOS(.v18), .tvOS(.v18), .watchOS(.v11), .visionOS(.v2)],
    products: libraries.map { .library(name: $0, targets: [$0]) },
    traits: [
        .trait(name: "LibPQ", description: "Connections to PostgreSQL over the C library libpq")
    ],
    targets: [
        // Layer 0
        module("ReliabilityCore"),
        // Layer 1
        module("ReliabilityStore", ["ReliabilityCore"]),
        module("ReliabilityFileStore", ["ReliabilityCore", "ReliabilityStore"]),
        module("ReliabilityRedis", ["ReliabilityCore", "ReliabilityStore"]),
        // PostgreSQL. The targets of libpq are empty without the trait.
        module("ReliabilityPostgres", ["ReliabilityCore", "ReliabilityStore"]),
        .systemLibrary(
            name: "CLibPQ",
            pkgConfig: "libpq",
            providers: [.apt(["libpq-dev"]), .brew(["libpq"])]
        ),
        module(
            "ReliabilityLibPQ",
            [
                "ReliabilityCore", "ReliabilityStore", "ReliabilityPostgres",
                .target(name: "CLibPQ", condition: .when(traits: ["LibPQ"])),
            ]
        ),
        tests(
            "ReliabilityPostgres",
            ["ReliabilityStore", "ReliabilityStoreTesting", "ReliabilityLibPQ", "StoreTrace", "Outbox"]
        ),
        // Layer 2: calls
        module("Timeout", ["ReliabilityCore"]),
        module("Retry", ["ReliabilityCore"]),
        module("CircuitBreaker", ["ReliabilityCore"]),
        module("Bulkhead", ["ReliabilityCore"]),
        module("RateLimiter", ["ReliabilityCore", "ReliabilityStore"]),
        // Layer 2: durable
        module("Dedup", ["ReliabilityCore", "ReliabilityStore"]),
        module("ReliabilityCache", ["ReliabilityCore", "ReliabilityStore"]),
        module("Outbox", ["ReliabilityCore", "ReliabilityStore", "Retry"]),
        // Layer 2: boundary
        module("Validation", ["ReliabilityCore"]),
        module("ErrorContract", ["ReliabilityCore"]),
        // Layer 3
        module(
            "Reliability",
            [
                "ReliabilityCore", "ReliabilityStore", "ReliabilityFileStore", "Timeout", "Retry", "CircuitBreaker",
                "Bulkhead", "RateLimiter", "Dedup", "Outbox", "ReliabilityCache", "Validation", "ErrorContract",
                "ReliabilityWebhooks",
            ]
        ),
        module(
            "ReliabilityWebhooks",
            ["ReliabilityCore", "ReliabilityStore", "Outbox", "Validation", "ErrorContract"]
        ),
        // For tests
        module("ReliabilityTesting", ["ReliabilityCore"]),
        module("ReliabilityStoreTesting", ["ReliabilityCore", "ReliabilityStore", "ReliabilityTesting"]),
        .executableTarget(
            name: "orders",
            dependencies: [
                "Reliability", "ReliabilityRedis", "ReliabilityPostgres", "ReliabilityLibPQ", "StormModel",
            ],
            path: "Examples/orders"
        ),
        .executableTarget(name: "webhooks", dependencies: ["Reliability"], path: "Examples/webhooks"),
        .executableTarget(
            name: "store-inspector",
            dependencies: ["ReliabilityCore", "ReliabilityFileStore", "ReliabilityStore"],
            path: "Examples/store-inspector"
        ),

        // Checks, in Tools
        tool("TestSupport", ["ReliabilityCore", "ReliabilityStore", "ReliabilityTesting"]),
        tool("CheckSupport", []),
        tool("StoreSimulation", ["ReliabilityCore", "ReliabilityFileStore", "ReliabilityStore"]),
        tool(
            "CallSimulation",
            [
                "ReliabilityCore", "ReliabilityStore", "Timeout", "Retry", "CircuitBreaker", "Bulkhead", "RateLimiter",
                "Dedup", "Outbox", "Reliability", "ReliabilityTesting", "ReliabilityStoreTesting",
            ]
        ),
        tool("StormModel", ["Reliability", "ReliabilityCore"]),
        tool(
            "CacheSimulation",
            ["ReliabilityCore", "ReliabilityStore", "ReliabilityCache", "ReliabilityTesting", "TestSupport"]
        ),
        tool("StoreTrace", ["ReliabilityStore", "ReliabilityTesting"]),
        tool(
            "NetworkChild",
            [
                "ReliabilityCore", "ReliabilityStore", "ReliabilityRedis", "ReliabilityPostgres", "ReliabilityLibPQ",
                "Retry", "RateLimiter", "Dedup", "Outbox",
            ],
            isExecutable: true
        ),
        tool("CrashChild", ["ReliabilityCore", "ReliabilityFileStore", "ReliabilityStore"], isExecutable: true),
        tool(
            "StoreCheck",
            ["CheckSupport", "ReliabilityStore", "ReliabilityStoreTesting", "ReliabilityTesting", "StoreSimulation"],
            isExecutable: true
        ),
        tool(
            "CallCheck",
            [
                "CacheSimulation", "CallSimulation", "CheckSupport", "ReliabilityCore", "StormModel", "Timeout",
                "Retry", "CircuitBreaker", "Bulkhead", "ReliabilityTesting",
            ],
            isExecutable: true
        ),

        // Tests
        tests("ReliabilityCore"),
        tests("ReliabilityStore", ["ReliabilityStoreTesting"]),
        tests("ReliabilityRedis", ["ReliabilityStore", "ReliabilityStoreTesting", "StoreTrace"]),
        tests(
            "ReliabilityFileStore",
            ["ReliabilityStore", "ReliabilityStoreTesting", "CrashChild", "StoreSimulation", "StoreTrace"]
        ),
        tests("Timeout"),
        tests("Retry"),
        tests("CircuitBreaker"),
        tests("Bulkhead", ["Timeout"]),
        tests("RateLimiter", ["ReliabilityStore", "ReliabilityStoreTesting"]),
        tests("Dedup", ["ReliabilityStore", "ReliabilityStoreTesting", "ReliabilityFileStore"]),
        tests("ReliabilityCache", ["ReliabilityStore", "ReliabilityStoreTesting", "CacheSimulation"]),
        tests("Outbox", ["ReliabilityStore", "ReliabilityStoreTesting", "ReliabilityFileStore", "Retry"]),
        tests("Validation"),
        tests("ErrorContract"),
        tests("Reliability", ["ReliabilityStoreTesting"]),
        tests("ReliabilityWebhooks", ["ReliabilityStore", "ReliabilityStoreTesting", "Outbox", "Retry"]),
        tests("ReliabilityTesting"),
        tests("ReliabilityStoreTesting", ["ReliabilityStore"]),
        .testTarget(name: "CallSimulationTests", dependencies: ["CallSimulation", "Retry"]),
        .testTarget(
            name: "NetworkTests",
            dependencies: [
                "NetworkChild", "ReliabilityCore", "ReliabilityStore", "ReliabilityRedis", "ReliabilityPostgres",
                "ReliabilityLibPQ", "Outbox", "ReliabilityTesting", "TestSupport",
            ]
        ),
        .testTarget(name: "OrdersTests", dependencies: ["orders", "Validation"]),
        .testTarget(
            name: "StoreInspectorTests",
            dependencies: [
                "store-inspector", "ReliabilityCore", "ReliabilityFileStore", "ReliabilityStore", "TestSupport",
            ]
        ),
    ]
)

// Integrations with other packages, each behind a trait of its own. Without a trait, no package is fetched.
package.traits.formUnion([
    .trait(
        name: "Valkey",
        description: "ReliabilityValkey: RedisStore over valkey-swift, with TLS, pools and clusters"
    ),
    .trait(name: "PostgresNIO", description: "ReliabilityPostgresNIO: PostgresStore over PostgresNIO"),
    .trait(
        name: "GRDB",
        description: "ReliabilityGRDB: a store, an outbox and idempotency in the tables of a GRDB database"
    ),
])
package.dependencies += [
    .package(url: "https://github.com/valkey-io/valkey-swift.git", from: "1.4.0", traits: []),
    .package(url: "https://github.com/vapor/postgres-nio.git", from: "1.33.0"),
    .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
    // The types in the interfaces of valkey-swift and PostgresNIO.
    .package(url: "https://github.com/apple/swift-nio.git", from: "2.93.0"),
    .package(url: "https://github.com/apple/swift-log.git", from: "1.6.3"),
]
package.products += ["ReliabilityValkey", "ReliabilityPostgresNIO", "ReliabilityGRDB"].map {
    .library(name: $0, targets: [$0])
}
package.targets += [
    module(
        "ReliabilityValkey",
        [
            "ReliabilityCore", "ReliabilityStore", "ReliabilityRedis",
            .product(name: "Valkey", package: "valkey-swift", condition: .when(traits: ["Valkey"])),
            .product(name: "NIOCore", package: "swift-nio", condition: .when(traits: ["Valkey"])),
            .product(name: "Logging", package: "swift-log", condition: .when(traits: ["Valkey"])),
        ]
    ),
    module(
        "ReliabilityPostgresNIO",
        [
            "ReliabilityCore", "ReliabilityStore", "ReliabilityPostgres", "Outbox",
            .product(name: "PostgresNIO", package: "postgres-nio", condition: .when(traits: ["PostgresNIO"])),
            .product(name: "NIOCore", package: "swift-nio", condition: .when(traits: ["PostgresNIO"])),
            .product(name: "Logging", package: "swift-log", condition: .when(traits: ["PostgresNIO"])),
        ]
    ),
    module(
        "ReliabilityGRDB",
        [
            "ReliabilityCore", "ReliabilityStore", "Outbox", "Dedup",
            .product(name: "GRDB", package: "GRDB.swift", condition: .when(traits: ["GRDB"])),
        ]
    ),
    tests("ReliabilityValkey", ["ReliabilityRedis", "ReliabilityStore", "ReliabilityStoreTesting"]),
    tests(
        "ReliabilityPostgresNIO",
        ["ReliabilityPostgres", "ReliabilityLibPQ", "Outbox", "ReliabilityStore", "ReliabilityStoreTesting"]
    ),
    tests("ReliabilityGRDB", ["Outbox", "Dedup", "ReliabilityStore", "ReliabilityStoreTesting"]),
]

// `RELIABILITY_FUZZ=1` adds the fuzzers of the file store; `.ci/fuzz` builds them with libFuzzer.
if Context.environment["RELIABILITY_FUZZ"] == "1" {
    package.targets.append(
        tool(
            "StoreFuzz",
            ["ReliabilityCore", "ReliabilityFileStore", "ReliabilityStore", "StoreSimulation"],
            isExecutable: true
        )
    )
}

// `RELIABILITY_NETWORK=1` adds the server of `.ci/webhooks`, and leaves out what the tests with servers do not need; see
// `.ci/network`.
if Context.environment["RELIABILITY_NETWORK"] == "1" {
    package.dependencies.append(.package(url: "https://github.com/apple/swift-crypto.git", "3.12.3"..<"5.0.0"))
    package.targets.append(
        tool(
            "WebhookCheck",
            [
                "ReliabilityCore", "ReliabilityStore", "ReliabilityFileStore", "ReliabilityWebhooks", "Outbox", "Dedup",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            isExecutable: true
        )
    )
    let others = [
        "CacheSimulation", "CallCheck", "CallSimulation", "CheckSupport", "CrashChild", "StoreCheck", "StoreSimulation",
        "store-inspector", "webhooks",
    ]
    package.targets.removeAll { target in
        let hasServers = ["Redis", "Valkey", "Postgres", "GRDB", "NetworkTests"].contains { target.name.contains($0) }
        return others.contains(target.name) || target.type == .test && !hasServers
    }
}

// The thread sanitizer leaves out what runs in one thread and what needs servers; see `.ci/run`.
if underThreadSanitizer {
    let others = [
        "ValidationTests", "ErrorContractTests", "CallSimulationTests", "OrdersTests", "StoreInspectorTests",
        "CallCheck", "StoreCheck", "orders", "webhooks", "store-inspector", "NetworkChild",
    ]
    package.targets.removeAll { target in
        let hasServers = ["Redis", "Valkey", "Postgres", "GRDB", "Network"].contains { target.name.contains($0) }
        return others.contains(target.name) || target.type == .test && hasServers
    }
}

for target in package.targets where target.type != .system {
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
