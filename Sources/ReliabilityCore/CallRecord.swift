/// The story of one call: what was tried, what was waited for, what was decided, and how it ended.
///
/// Its description tells it line by line, for logs:
///
/// ```
/// payments failed after 2.3 s: retry.exhausted: no attempt is left after 2 attempt(s), …
///   2 s: attempt 1 failed after 2 s: timeout.expired: …
///   2 s: waits 100 ms
///   2.3 s: attempt 2 failed after 200 ms: …
///   2.3 s: gave up: retry.exhausted
/// ```
public struct CallRecord: Sendable, CustomStringConvertible {
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
    /// The number of records that were dropped before this one because the observer was too slow.
    public private(set) var missedBefore = 0

    /// How many attempts the entries tell of; none when every one of them was refused by a policy before it began.
    ///
    /// Retries tell of theirs, and a call without one is one attempt. A policy of yours that repeats tells of none.
    public var attempts: Int { entries.count { if case .attempt = $0.step { true } else { false } } }

    /// How much of the time was spent between attempts, as far as the entries tell.
    public var waited: Duration {
        let waits = entries.map { entry -> Int64 in
            if case .waiting(let wait) = entry.step { wait.saturatingNanoseconds } else { 0 }
        }
        return .nanoseconds(waits.reduce(Int64.zero) { $0.saturatingAdd($1) })
    }

    /// The story as text: a line for the end and one for each entry.
    public var description: String {
        var text = "\(name) \(ending) after \(duration.text)"
        if let error { text += ": \(error)" }
        if let correlationID { text += " [\(correlationID)]" }
        for entry in entries { text += "\n  \(entry.at.text): \(entry.step)" }
        if droppedEntries > 0 { text += "\n  and \(droppedEntries) more" }
        if missedBefore > 0 {
            text += "\n  \(missedBefore) record(s) before this one were dropped: the observer is too slow"
        }
        return text
    }

    private var ending: String {
        switch outcome {
        case .success: "succeeded"
        case .failure: "failed"
        case .ignored: (error as? any ReliabilityError)?.isRejection == true ? "was refused" : "was cancelled"
        }
    }

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

    /// The same record behind a gap of `count` records.
    package func behindMissed(_ count: Int) -> CallRecord {
        var record = self
        record.missedBefore = count
        return record
    }
}
