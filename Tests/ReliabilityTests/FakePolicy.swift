import ReliabilityCore

/// A policy with given layers that only runs its operation.
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
                    collapsesWhenNested: true
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
