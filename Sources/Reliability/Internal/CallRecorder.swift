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
        events = EventSink(observer)
    }

    @usableFromInline
    nonisolated(nonsending) func run<Success>(
        _ policies: some CallPolicy,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        let trace = CallTrace(timeSource: timeSource)
        do {
            let success = try await CallTrace.$current.withValue(trace) { try await policies.run(operation) }
            events.emit(trace.record(name: name, outcome: Task.isCancelled ? .ignored : .success, error: nil))
            return success
        } catch {
            events.emit(trace.record(name: name, outcome: Outcome.ofThrown(error), error: error))
            throw error
        }
    }
}
