/// The report of a call: attempts, waits, decisions and the end.
///
/// The description has a line for the end and a line for each entry:
///
/// ```
/// payments failed after 2.3 s: retry.exhausted: no attempt is left after 2 attempt(s), …
///   2 s: attempt 1 failed after 2 s: timeout.expired: …
///   2 s: waits 100 ms
///   2.3 s: attempt 2 failed after 200 ms: …
///   2.3 s: gave up: retry.exhausted
/// ```
public struct CallReport: Sendable, CustomStringConvertible {
    /// A step of the call with its time.
    public struct Entry: Sendable {
        /// The time since the beginning of the call.
        public let at: Duration
        /// The step.
        public let step: CallStep

        package init(at: Duration, step: CallStep) {
            self.at = at
            self.step = step
        }
    }

    /// The name of the pipeline that ran the call.
    public let name: String
    /// The correlation id of the request, or `nil` if the request has none.
    public let correlationID: CorrelationID?
    /// The duration of the call with all attempts and waits.
    public let duration: Duration
    /// The outcome of the call as evidence about the dependency.
    public let outcome: Outcome
    /// The error of the call, or `nil` if the call returned a value.
    public let error: (any Error)?
    /// The steps of the call in order.
    ///
    /// A report has the first 100 entries of its call. ``droppedEntries`` counts the rest.
    public let entries: [Entry]
    /// The number of entries after the first 100.
    public let droppedEntries: Int
    /// The number of reports that were dropped before this report because the observer was too slow.
    ///
    /// Always 0 in an `ExternalCallEvent`, which has a case for dropped events.
    public private(set) var missedBefore = 0

    /// The number of attempts in ``entries``.
    ///
    /// A retry or a hedge records its attempts, including attempts that another policy rejected. Any other call has a
    /// single attempt, or none if a policy rejected the call before the operation began. A policy of your own that
    /// repeats the operation records no attempts.
    public var attempts: Int { entries.count { if case .attempt = $0.step { true } else { false } } }

    /// The total wait between attempts in ``entries``.
    public var waited: Duration {
        let waits = entries.map { entry -> Int64 in
            if case .waiting(let wait) = entry.step { wait.saturatingNanoseconds } else { 0 }
        }
        return .nanoseconds(waits.reduce(Int64.zero) { $0.saturatingAdd($1) })
    }

    /// The report as text with a line for the end and a line for each entry.
    public var description: String {
        var text = "\(name) \(ending) after \(duration.text)"
        if let error { text += ": \(error)" }
        if let correlationID { text += " [\(correlationID)]" }
        for entry in entries { text += "\n  \(entry.at.text): \(entry.step)" }
        if droppedEntries > 0 { text += "\n  and \(droppedEntries) more" }
        if missedBefore > 0 {
            text += "\n  \(missedBefore) report(s) before this one were dropped: the observer is too slow"
        }
        return text
    }

    private var ending: String {
        switch outcome {
        case .success: "succeeded"
        case .failure: "failed"
        case .ignored: error?.reliability?.isRejection == true ? "was rejected" : "was cancelled"
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

    /// Returns this report with a number of dropped reports before it.
    ///
    /// - Parameter count: The number of dropped reports.
    /// - Returns: The changed report.
    package func behindMissed(_ count: Int) -> CallReport {
        var report = self
        report.missedBefore = count
        return report
    }
}
