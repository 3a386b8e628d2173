import ReliabilityTesting
import Testing

/// The comment of issues that a test expects.
private let onPurpose: Comment = "on purpose"

@Suite("Simulation expectations")
struct SimulationExpectationTests {
    @Test(
        "a failed expectation ends the run and names its seed",
        .compactMapIssues { issue in
            let issue = Simulation.fail(on: issue)
            return issue.comments.contains(onPurpose) ? nil : issue
        }
    )
    func failedExpectation() throws {
        let seeds = EventRecorder<UInt64>()
        let failure = #expect(throws: SimulationFailure.self) {
            try Simulation.run(seeds: 5..<100) { simulation in
                seeds.record(simulation.seed)
                simulation.spawn { #expect(simulation.seed < 17, onPurpose) }
                await simulation.waitForClients()
            }
        }
        #expect(failure?.seed == 17)
        #expect(seeds.events == Array(5...17))
        #expect(failure?.description.contains("seed 17: ") == true)
        #expect(failure?.description.contains("Simulation.run(seed: 17)") == true)
        // An issue outside of a run fails no run.
        Issue.record(onPurpose)
        try Simulation.run(seeds: 0..<10) { _ in }
    }

    @Test("a failure in a child task or a cancellation handler fails the run")
    func everywhere() {
        for isChild in [true, false] {
            let failure = #expect(throws: SimulationFailure.self) {
                try Simulation.run(seed: 1) { simulation in
                    if isChild {
                        await withTaskGroup { group in group.addTask { _ = Simulation.fail(on: "an issue") } }
                    } else {
                        let task = simulation.spawn {
                            await withTaskCancellationHandler {
                                try? await simulation.clock.sleep(for: .seconds(Int64.max))
                            } onCancel: {
                                _ = Simulation.fail(on: "an issue")
                            }
                        }
                        simulation.cancelSometime(task)
                    }
                }
            }
            guard case .violated("an issue") = failure?.reason else {
                Issue.record("\(String(describing: failure))")
                return
            }
        }
    }
}
