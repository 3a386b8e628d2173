/// What one call says about the dependency it went to.
///
/// Cancellation by the caller, and this library's own rejections, say nothing about a dependency: they are `ignored`. A
/// deadline that ends a call is no cancellation by the caller: the call counts as a `failure`, whoever set the deadline.
public enum Outcome: Hashable, Sendable {
    /// The dependency did what was asked.
    case success
    /// The dependency failed, or did not answer in time.
    case failure
    /// Neither: the caller cancelled the call, or the call was rejected before it reached the dependency.
    case ignored

    /// Classifies what an operation that was begun has thrown, for the calling task.
    ///
    /// The task's own cancellation is decided by ``CancellationCause``, never by the error's type: an inner timeout that
    /// surfaces as `CancellationError` while the caller is not cancelled is a failure, and so is a rejection that comes from
    /// inside after the operation has used up the caller's time.
    ///
    /// - Parameters:
    ///   - error: The error.
    ///   - wasCancelled: Whether the task was cancelled when the operation began. Then its end says nothing.
    /// - Returns: The outcome.
    package static func ofThrown(_ error: any Error, wasCancelled: Bool) -> Outcome {
        ofCancelled(wasCancelled: wasCancelled) ?? (error.isRejection ? .ignored : .failure)
    }

    /// The outcome of an operation whose task is cancelled, or `nil` if the task is not cancelled.
    ///
    /// It holds whether the operation returns or throws: work that is cancelled often returns early.
    ///
    /// - Parameter wasCancelled: Whether the task was cancelled when the operation began.
    /// - Returns: The outcome, or `nil`.
    package static func ofCancelled(wasCancelled: Bool) -> Outcome? {
        switch CancellationCause.current {
        case .none: nil
        case .caller: .ignored
        case .deadline: wasCancelled ? .ignored : .failure
        }
    }
}

extension Error {
    /// Whether a policy rejected the call before it reached the dependency; an error that does not say was none.
    package var isRejection: Bool { (self as? any ReliabilityError)?.isRejection ?? false }

    /// Whether an operation that was begun and threw this may have had an effect.
    ///
    /// A rejection, and the error of an inner call, come from something inside the operation, which may have sent something
    /// before: they prove nothing. Only the operation's own statement does: a `NotSentError`, or an error of its own type
    /// that is no rejection and says that nothing was sent.
    package var leavesOperationPossiblySent: Bool {
        guard let error = self as? any ReliabilityError else { return true }
        if error is any NotSentStatement { return false }
        return error is any InnerCallError || error.isRejection || error.mayHaveBeenSent
    }
}

/// An error of this library for a call that an operation made, which says nothing of what else the operation did.
package protocol InnerCallError: ReliabilityError {}

/// An error by which an operation states that nothing was sent, whatever the error wraps.
package protocol NotSentStatement: ReliabilityError {}
