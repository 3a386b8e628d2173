internal import ReliabilityCore

/// Tells an observer the story of each call of a pipeline.
@usableFromInline
final class CallRecorder: Sendable {
    private let name: String
    private let timeSource: TimeSource
    private let events: EventSink<CallRecord>

    /// Returns nil when there is nobody to tell.
    init?(_ name: String, _ clock: some Clock<Duration>, _ observer: (@Sendable (CallRecord) -> Void)?) {
        guard let observer else { return nil }
        self.name = name
        timeSource = TimeSource(clock)
        events = EventSink(observer, missed: { [$1.behindMissed($0)] })
    }

    @usableFromInline
    nonisolated(nonsending) func run<Success>(
        _ policies: some CallPolicy,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        let trace = CallTrace(timeSource: timeSource)
        let wasCancelled = Task.isCancelled
        var runs = 0
        var last: (took: Duration, error: (any Error)?) = (.zero, nil)
        func end(_ outcome: Outcome, _ error: (any Error)?) {
            // A retry tells of its attempts, but for one that succeeds at once; without a retry nobody does. Not told
            // around: to a retry there, or to the recorder there, the whole call is the attempt.
            if runs == 1, !trace.hasAttempts { trace.noteHere(.attempt(number: 1, took: last.took, error: last.error)) }
            events.emit(trace.record(name: name, outcome: outcome, error: error))
        }
        do {
            let success = try await CallTrace.$current.withValue(trace) {
                try await policies.run {
                    runs += 1
                    let start = timeSource.now
                    do {
                        let success = try await operation()
                        last = (.nanoseconds(timeSource.now.saturatingSubtract(start)), nil)
                        return success
                    } catch {
                        last = (.nanoseconds(timeSource.now.saturatingSubtract(start)), error)
                        throw error
                    }
                }
            }
            end(Outcome.ofCancelled(wasCancelled: wasCancelled) ?? .success, nil)
            return success
        } catch {
            end(Outcome.ofThrown(error, wasCancelled: wasCancelled), error)
            throw error
        }
    }
}
