/// Collects the steps of a call that has an observer.
///
/// A step is recorded in the innermost trace and in all enclosing traces.
package final class CallTrace: Sendable {
    /// The trace of the current task's call, or `nil` if no enclosing call has an observer.
    // Policies record their steps with `CallTrace.current?.record(…)`. Without an observer, the cost is a task-local
    // read.
    @TaskLocal package static var current: CallTrace?

    private struct State {
        var entries: [CallReport.Entry] = []
        var dropped = 0
    }
    private let state = Lock(State())
    private let timeSource: TimeSource
    private let start: Int64
    private let parent: CallTrace?

    /// Begins a trace inside the trace of the current task.
    package init(timeSource: TimeSource) {
        self.timeSource = timeSource
        start = timeSource.now
        parent = CallTrace.current
    }

    /// Records a step in this trace and in all enclosing traces.
    package func record(_ step: CallStep) {
        parent?.record(step)
        recordLocally(step)
    }

    /// Records a step in this trace only.
    ///
    /// The enclosing traces record the step themselves.
    package func recordLocally(_ step: CallStep) {
        let entry = CallReport.Entry(at: .nanoseconds(timeSource.now.saturatingSubtract(start)), step: step)
        state.withLock { state in
            if state.entries.count < 100 { state.entries.append(entry) } else { state.dropped += 1 }
        }
    }

    /// A Boolean value that indicates whether a policy has recorded an attempt.
    package var hasAttempts: Bool {
        state.withLock { state in
            state.entries.contains { if case .attempt = $0.step { true } else { false } }
        }
    }

    /// Ends the call and returns its report.
    package func report(name: String, outcome: Outcome, error: (any Error)?) -> CallReport {
        let duration = Duration.nanoseconds(timeSource.now.saturatingSubtract(start))
        let (entries, dropped) = state.withLock { ($0.entries, $0.dropped) }
        return CallReport(
            name: name,
            correlationID: CorrelationID.current,
            duration: duration,
            outcome: outcome,
            error: error,
            entries: entries,
            droppedEntries: dropped
        )
    }
}
