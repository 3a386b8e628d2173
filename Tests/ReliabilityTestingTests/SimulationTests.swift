import ReliabilityCore
import ReliabilityTesting
import Testing

@Suite("Simulation")
struct SimulationTests {
    private struct Failure: Error {}

    @Test("the clock moves by itself, and a year takes no time")
    func time() throws {
        try Simulation.run(seed: 1) { simulation in
            let start = simulation.clock.now
            try await simulation.clock.sleep(for: .seconds(365 * 86_400))
            #expect(start.duration(to: simulation.clock.now) == .seconds(365 * 86_400))
        }
    }

    @Test("the same seed gives the same trace, and seeds differ")
    func deterministic() throws {
        func trace(_ seed: UInt64) throws -> [String] {
            try Simulation.run(seed: seed) { simulation in
                for client in 0..<10 {
                    simulation.spawn {
                        let wait = Duration.milliseconds(simulation.random(in: 0...20))
                        try await simulation.clock.sleep(for: wait)
                        await Task.yield()
                        await withTaskGroup { group in
                            for child in 0..<3 {
                                group.addTask {
                                    await Task.yield()
                                    simulation.note("child \(child) of client \(client)")
                                }
                            }
                        }
                    }
                }
                await simulation.waitForClients()
            }
        }
        for seed in 0..<20 as Range<UInt64> {
            let first = try trace(seed)
            #expect(first.count > 100)
            #expect(try trace(seed) == first)
        }
        #expect(try trace(1) != trace(2))
    }
}
