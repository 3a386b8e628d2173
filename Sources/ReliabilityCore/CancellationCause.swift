/// What cancelled the current task.
///
/// Decided from facts: the task's own state, and what the call that the task works on saw first. The type of an error
/// says nothing about either.
package enum CancellationCause: Sendable {
    /// The task is not cancelled.
    case none
    /// The deadline of the call that the task works on.
    case deadline
    /// The caller, who left before the deadline.
    case caller

    /// The cause for the current task.
    package static var current: CancellationCause {
        guard Task.isCancelled else { return .none }
        return DeadlineScope.live?.hasExpired == true ? .deadline : .caller
    }
}
