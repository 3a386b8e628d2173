/// A call that arrived at a dependency.
public struct DependencyCall: Hashable, Sendable {
    /// The outcome of a call.
    @nonexhaustive
    public enum Outcome: Hashable, Sendable {
        /// The dependency answered with a value.
        case succeeded
        /// The dependency answered with a failure.
        case failed
        /// The dependency did not accept the connection.
        case refused
        /// The dependency asked the caller to retry later.
        case throttled(retryAfter: Duration?)
        /// The connection broke before the answer.
        case disconnected
        /// The caller was cancelled before the answer.
        case cancelled
    }

    /// The zero-based index of the call.
    public let index: Int
    /// The name of the caller.
    ///
    /// Empty if the caller gave no name.
    public let caller: String
    /// The zero-based index of the script's phase at the arrival.
    public let phase: Int
    /// The number of calls in progress after the arrival, including this call.
    public let concurrency: Int
    /// The time of the arrival since the beginning of the script.
    public let arrival: Duration
    /// The time of the end since the beginning of the script, or `nil` while the call is in progress.
    public internal(set) var end: Duration?
    /// The outcome, or `nil` while the call is in progress.
    public internal(set) var outcome: Outcome?

    /// Creates a call for the history of a dependency of your own.
    ///
    /// - Parameters:
    ///   - index: The zero-based index of the call.
    ///   - caller: The name of the caller. Defaults to no name.
    ///   - phase: The zero-based index of the phase at the arrival. Defaults to 0.
    ///   - concurrency: The number of calls in progress after the arrival, including this call. Defaults to 1.
    ///   - arrival: The time of the arrival.
    ///   - end: The time of the end, or `nil` while the call is in progress.
    ///   - outcome: The outcome, or `nil` while the call is in progress.
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
