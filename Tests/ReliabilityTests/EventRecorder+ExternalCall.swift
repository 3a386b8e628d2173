import Reliability
import ReliabilityTesting

extension EventRecorder<CallReport> {
    /// Records the report of a call that has ended.
    @Sendable func recordEnded(_ event: ExternalCallEvent) {
        if case .ended(let report) = event { record(report) }
    }
}
