import ReliabilityTesting

extension Nesting {
    /// The violations in a run of the nesting, or an empty array if all laws hold.
    package var violations: [Violation] {
        // A run is used on the simulation's one thread, which is the current thread.
        final class Box: @unchecked Sendable { var nestingRun: NestingRun? }
        let box = Box()
        var failure: SimulationFailure?
        do {
            try Simulation.run(seeds: seed..<seed + 1, maxSteps: 50_000) { simulation in
                let nestingRun = NestingRun(self, simulation)
                box.nestingRun = nestingRun
                try await nestingRun.run()
            }
        } catch {
            failure = error
        }
        guard let nestingRun = box.nestingRun else { return [] }
        if let failure {
            return nestingRun.violations + [Violation(law: .everyCallEnds, behavior: "\(failure.reason)")]
        }
        nestingRun.judgeAll()
        return nestingRun.violations
    }
}

extension Nesting {
    /// The simulation's choices in a run of the nesting, one line for each step.
    package var schedule: [String] {
        do {
            return try Simulation.run(seed: seed, maxSteps: 10_000) { try await NestingRun(self, $0).run() }
        } catch {
            return error.trace
        }
    }
}
