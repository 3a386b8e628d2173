internal import ReliabilityCore

/// Reports each call of a pipeline to an observer.
@usableFromInline
final class CallReporter: Sendable {
    private let name: String
    private let timeSource: TimeSource
    private let reports: EventSink<CallReport>

    /// Creates a reporter, or returns `nil` if there is no observer.
    convenience init?(_ name: String, _ clock: some Clock<Duration>, _ observer: (@Sendable (CallReport) -> Void)?) {
        self.init(name, clock, EventSink(observer, missed: { [$1.behindMissed($0)] }))
    }

    /// Creates a reporter that passes reports to a sink, or returns `nil` if the sink has no observer.
    init?(_ name: String, _ clock: some Clock<Duration>, _ reports: EventSink<CallReport>) {
        guard reports.hasObserver else { return nil }
        self.name = name
        timeSource = TimeSource(clock)
        self.reports = reports
    }

    @usableFromInline
    nonisolated(nonsending) func run<Success>(
        _ policies: some CallPolicy,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        let trace = CallTrace(timeSource: timeSource)
        let wasCancelledBefore = Task.isCancelled
        var runs = 0
        var last: (took: Duration, error: (any Error)?) = (.zero, nil)
        func end(_ outcome: Outcome, _ error: (any Error)?) {
            // A retry records its attempts, except for a first attempt that succeeds. A pipeline without a retry
            // records no attempt. The attempt is not recorded in enclosing traces: for an enclosing retry, the whole
            // call is the attempt.
            if runs == 1, !trace.hasAttempts {
                trace.recordLocally(.attempt(number: 1, took: last.took, error: last.error))
            }
            reports.emit(trace.report(name: name, outcome: outcome, error: error))
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
            end(Outcome.ofCancelled(wasCancelledBefore: wasCancelledBefore) ?? .success, nil)
            return success
        } catch {
            end(Outcome.ofThrown(error, wasCancelledBefore: wasCancelledBefore), error)
            throw error
        }
    }
}
