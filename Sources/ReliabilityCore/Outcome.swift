/// What one call says about the dependency it went to.
///
/// Cancellation by the caller, and this library's own refusals, say nothing about a dependency: they are `ignored`.
public enum Outcome: Hashable, Sendable {
    /// The dependency did what was asked.
    case success
    /// The dependency failed, or did not answer in time.
    case failure
    /// Neither: the call was cancelled, or was never made.
    case ignored

    /// Classifies a thrown error for the calling task.
    ///
    /// The task's own cancellation is decided by the task, never by the error's type: an inner timeout that surfaces
    /// as `CancellationError` while the caller is not cancelled is a failure.
    package static func ofThrown(_ error: any Error) -> Outcome {
        if Task.isCancelled { return .ignored }
        if let error = error as? any ReliabilityError, error.isRejection { return .ignored }
        return .failure
    }
}
