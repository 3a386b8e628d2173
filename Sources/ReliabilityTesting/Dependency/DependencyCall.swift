/// One call that arrived at a dependency.
public struct DependencyCall: Hashable, Sendable {
    /// How a call ended.
    ///
    /// The set may grow.
    @nonexhaustive
    public enum Outcome: Hashable, Sendable {
        /// The dependency answered with a value.
        case succeeded
        /// The dependency answered with a failure.
        case failed
        /// The connection was refused.
        case refused
        /// The dependency asked the caller to come later.
        case throttled(retryAfter: Duration?)
        /// The connection broke before there was an answer.
        case disconnected
        /// The caller was cancelled before there was an answer.
        case cancelled
    }

    /// Which call it is, from 0.
    public let index: Int
    /// Who made it; empty when nobody said.
    public let caller: String
    /// In which phase of the script it arrived, from 0.
    public let phase: Int
    /// How many calls were under way when it had arrived, itself included.
    public let concurrency: Int
    /// When it arrived, counted from the beginning of the script.
    public let arrival: Duration
    /// When it ended; nil while it is under way.
    public internal(set) var end: Duration?
    /// How it ended; nil while it is under way.
    public internal(set) var outcome: Outcome?

    /// Creates a call, for a history of a dependency of your own.
    ///
    /// - Parameters:
    ///   - index: Which call it is, from 0.
    ///   - caller: Who made it.
    ///   - phase: In which phase it arrived.
    ///   - concurrency: How many calls were under way when it had arrived, itself included.
    ///   - arrival: When it arrived.
    ///   - end: When it ended.
    ///   - outcome: How it ended.
    public init(
        index: Int,
        caller: String = "",
        phase: Int = 0,
        concurrency: Int = 1,
        arrival: Duration,
        end: Duration? = nil,
        outcome: Outcome? = nil
    ) {
        self.index = index
        self.caller = caller
        self.phase = phase
        self.concurrency = concurrency
        self.arrival = arrival
        self.end = end
        self.outcome = outcome
    }
}
