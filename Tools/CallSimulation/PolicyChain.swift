import ReliabilityCore

/// The policies of a pipeline, each with its ground truth.
final class PolicyChain: CallPolicy, @unchecked Sendable {
    // @unchecked Sendable: used on the simulation's one thread only.

    private let nestingRun: NestingRun
    private let policies: [(layer: Layer, policy: any CallPolicy)]
    private let outer: Attempt
    /// The run of the operation that is about to begin.
    private(set) var innermost: Attempt

    init(_ nestingRun: NestingRun, _ layers: [Layer], in outer: Attempt) {
        self.nestingRun = nestingRun
        policies = layers.map { ($0, nestingRun.policy($0)) }
        self.outer = outer
        innermost = outer
    }

    var layers: [PolicyLayer] { policies.flatMap(\.policy.layers) }

    func run<Success>(_ operation: () async throws -> Success) async throws -> Success {
        try await run(0, in: outer, operation)
    }

    private func run<Success>(
        _ index: Int,
        in outer: Attempt,
        _ operation: () async throws -> Success
    ) async throws -> Success {
        guard index < policies.count else {
            innermost = outer
            return try await operation()
        }
        let (layer, policy) = policies[index]
        let run = nestingRun.begin(layer, in: outer)
        defer { nestingRun.waitedForStore(run) }
        do {
            let success = try await policy.run {
                let attempt = nestingRun.begin(run)
                do {
                    let success = try await self.run(index + 1, in: attempt, operation)
                    nestingRun.end(attempt, .returned(success as? Int ?? 0))
                    return success
                } catch {
                    nestingRun.end(attempt, .threw(error))
                    throw error
                }
            }
            nestingRun.end(run, .returned(success as? Int ?? 0))
            return success
        } catch {
            nestingRun.end(run, .threw(error))
            throw error
        }
    }
}
