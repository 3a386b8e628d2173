/// A run of a simulation that failed, with the seed that makes it fail again.
public struct SimulationFailure: Error, CustomStringConvertible {
    /// What went wrong.
    ///
    /// The set may grow.
    @nonexhaustive
    public enum Reason: Sendable {
        /// The scenario threw.
        case threw(any Error)
        /// Something that ``Simulation/expect(_:_:)`` was to see did not hold.
        case violated(String)
        /// Nobody can go on and nobody sleeps, but these have not ended.
        case deadlock(waiting: [String])
        /// The run did not end within the limit of steps.
        case stepLimit
        /// Work came back from another thread, so the seed does not determine the run.
        case escaped
    }

    /// The seed of the run.
    public let seed: UInt64
    /// What went wrong.
    public let reason: Reason
    /// What was chosen, a line for each step; empty for a run with many seeds, which does not write it down.
    public let trace: [String]

    /// What went wrong, how to run this seed alone, and the last lines of the trace.
    public var description: String {
        let replay = "again, with a trace: try Simulation.run(seed: \(seed)) { … }"
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
            seed \(seed): nobody can go on and nobody sleeps on the simulation's clock, but these have not ended: \
            \(waiting.joined(separator: ", ")) (they wait for each other, or for work that left the simulation)
            """
        case .stepLimit:
            "seed \(seed): the run did not end within its limit of steps"
        case .escaped:
            """
            seed \(seed): work came back from another thread; a detached task, another clock, an observer or an actor \
            with an executor of its own took it there
            """
        }
    }
}
