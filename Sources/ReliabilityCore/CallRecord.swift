/// The story of one call: what was tried, what was waited for, what was decided, and how it ended.
public struct CallRecord: Sendable {
    /// One thing that happened, and when.
    public struct Entry: Sendable {
        /// How long after the call's beginning.
        public let at: Duration
        /// What happened.
        public let step: CallStep

        package init(at: Duration, step: CallStep) {
            self.at = at
            self.step = step
        }
    }

    /// The name of the pipeline that ran the call.
    public let name: String
    /// The id of the request that the call was made for, if it has one.
    public let correlationID: CorrelationID?
    /// How long the call took, all attempts and waits included.
    public let duration: Duration
    /// What the call says about the dependency.
    public let outcome: Outcome
    /// What the call threw; nil when it returned.
    public let error: (any Error)?
    /// What happened, in order.
    ///
    /// A call keeps its first 100 entries; ``droppedEntries`` counts the rest.
    public let entries: [Entry]
    /// How many entries there was no room for.
    public let droppedEntries: Int

    package init(
        name: String,
        correlationID: CorrelationID?,
        duration: Duration,
        outcome: Outcome,
        error: (any Error)?,
        entries: [Entry],
        droppedEntries: Int
    ) {
        self.name = name
        self.correlationID = correlationID
        self.duration = duration
        self.outcome = outcome
        self.error = error
        self.entries = entries
        self.droppedEntries = droppedEntries
    }
}
