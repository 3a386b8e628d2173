/// Collects the steps of one call, while there is somebody who wants its record.
///
/// Of nested traces, each step goes to the innermost and from there to those around it.
package final class CallTrace: Sendable {
    /// The trace of the call that the current task works on.
    ///
    /// Policies note their steps with `CallTrace.current?.note(…)`: without an observer that is one task-local read.
    @TaskLocal package static var current: CallTrace?

    private struct State {
        var entries: [CallRecord.Entry] = []
        var dropped = 0
    }
    private let state = Lock(State())
    private let timeSource: TimeSource
    private let start: Int64
    private let parent: CallTrace?

    /// Begins a trace now, inside the one of the current task if there is one.
    package init(timeSource: TimeSource) {
        self.timeSource = timeSource
        start = timeSource.now
        parent = CallTrace.current
    }

    /// Appends a step, here and around.
    package func note(_ step: CallStep) {
        parent?.note(step)
        noteHere(step)
    }

    /// Appends a step that those around tell of by themselves.
    package func noteHere(_ step: CallStep) {
        let entry = CallRecord.Entry(at: .nanoseconds(timeSource.now.saturatingSubtract(start)), step: step)
        state.withLock { state in
            if state.entries.count < 100 { state.entries.append(entry) } else { state.dropped += 1 }
        }
    }

    /// Whether a retry has told of an attempt.
    package var hasAttempts: Bool {
        state.withLock { state in
            state.entries.contains { if case .attempt = $0.step { true } else { false } }
        }
    }

    /// The record of the call, which ends now.
    package func record(name: String, outcome: Outcome, error: (any Error)?) -> CallRecord {
        let duration = Duration.nanoseconds(timeSource.now.saturatingSubtract(start))
        let (entries, dropped) = state.withLock { ($0.entries, $0.dropped) }
        return CallRecord(
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
