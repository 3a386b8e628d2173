import ReliabilityCore

/// A policy of the figures that a test gives it, which does nothing.
struct FakePolicy: CallPolicy {
    let layers: [PolicyLayer]

    static func timeout(_ limit: Duration) -> FakePolicy {
        FakePolicy(layers: [PolicyLayer(.timeout, "cancels after \(limit.text)", limit: limit)])
    }

    static func retry(_ attempts: Int, waits: Duration? = .zero) -> FakePolicy {
        FakePolicy(
            layers: [
                PolicyLayer(
                    .retry,
                    "tries \(attempts) times",
                    attempts: attempts,
                    waits: waits,
                    plannedWaits: waits,
                    addsUp: true
                )
            ]
        )
    }

    static func waiting(_ waits: Duration?) -> FakePolicy {
        FakePolicy(layers: [PolicyLayer(.other, "a queue", waits: waits)])
    }

    nonisolated(nonsending) func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await operation()
    }
}
