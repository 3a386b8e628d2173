/// A failed run of a simulation with the seed that repeats the failure.
public struct SimulationFailure: Error, CustomStringConvertible {
    /// The reason for the failure of a run.
    @nonexhaustive
    public enum Reason: Sendable {
        /// The scenario threw an error.
        case threw(any Error)
        /// A condition passed to ``Simulation/expect(_:_:)`` was false.
        case violated(String)
        /// No task can run and no task sleeps, but the named tasks have not ended.
        case deadlock(waiting: [String])
        /// The run did not end within the step limit.
        case maxSteps
        /// Work came back from another thread, so the seed does not determine the run.
        case escaped
    }

    /// The seed of the run.
    public let seed: UInt64
    /// The reason for the failure.
    public let reason: Reason
    /// The trace with a line for each step.
    ///
    /// Empty for a run with several seeds, which records no trace.
    public let trace: [String]

    /// The reason, the call that repeats this seed, and the last 40 lines of the trace.
    public var description: String {
        let replay = "to repeat with a trace: try Simulation.run(seed: \(seed)) { … }"
        return (["\(explanation)", replay] + trace.suffix(40)).joined(separator: "\n    ")
    }

    private var explanation: String {
        switch reason {
        case .threw(let error):
            "seed \(seed): \(error)"
        case .violated(let message):
            "seed \(seed): \(message)"
        case .deadlock(let waiting):
            """
            seed \(seed): no task can run and none sleeps on the simulation's clock, but these have not ended: \
            \(waiting.joined(separator: ", ")) (they wait for each other or for work outside of the simulation)
            """
        case .maxSteps:
            "seed \(seed): the run did not end within the step limit"
        case .escaped:
            """
            seed \(seed): work came back from another thread; possible causes are a detached task, another clock, an \
            event observer and an actor with its own executor
            """
        }
    }
}
