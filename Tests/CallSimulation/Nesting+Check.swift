import ReliabilityTesting

extension Nesting {
    /// What breaks a law in a run of the nesting; empty if all laws hold.
    package var violations: [Violation] {
        // A world is used on the simulation's one thread, which is this one.
        final class Box: @unchecked Sendable { var world: World? }
        let box = Box()
        var failure: SimulationFailure?
        do {
            try Simulation.run(seeds: seed..<seed + 1, stepLimit: 50_000) { simulation in
                let world = World(self, simulation)
                box.world = world
                try await world.run()
            }
        } catch {
            failure = error
        }
        guard let world = box.world else { return [] }
        if let failure {
            return world.violations + [Violation(law: .everyCallEnds, what: "\(failure.reason)")]
        }
        world.judgeAll()
        return world.violations
    }
}

extension Nesting {
    /// What the simulation chose in a run of the nesting, a line for each step.
    package var schedule: [String] {
        do {
            return try Simulation.run(seed: seed, stepLimit: 10_000) { try await World(self, $0).run() }
        } catch {
            return error.trace
        }
    }
}
