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
    /// surfaces as `CancellationError` while the caller is not cancelled is a failure.
    package static func ofThrown(_ error: any Error) -> Outcome {
        if error.isRejection { return .ignored }
        return CancellationCause.current == .caller ? .ignored : .failure
    }
}

extension Error {
    /// Whether a policy rejected the call before it reached the dependency; an error that does not say was none.
    package var isRejection: Bool { (self as? any ReliabilityError)?.isRejection ?? false }

    /// Whether an operation that was begun and threw this may have had an effect.
    ///
    /// A rejection comes from something inside the operation, which may have sent something before: it proves nothing.
    /// Only the operation's own statement does: a `NotSentError`, or an error that is no rejection and says that nothing
    /// was sent.
    package var leavesOperationPossiblySent: Bool {
        guard let error = self as? any ReliabilityError else { return true }
        if error is any NotSentStatement { return false }
        return error.isRejection || error.mayHaveBeenSent
    }
}

/// An error by which an operation states that nothing was sent, whatever the error wraps.
package protocol NotSentStatement: ReliabilityError {}
