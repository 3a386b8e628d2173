/// The cause of the current task's cancellation.
///
/// The cause follows from the state of the task and from the first event that the current call recorded. The type of an
/// error is no evidence.
package enum CancellationCause: Sendable {
    /// The task is not cancelled.
    case none
    /// The deadline of the current call cancelled the task.
    case deadline
    /// The caller cancelled the task before the deadline.
    case caller

    /// The cause of the current task's cancellation.
    package static var current: CancellationCause {
        guard Task.isCancelled else { return .none }
        return DeadlineScope.live?.hasExpired == true ? .deadline : .caller
    }
}
