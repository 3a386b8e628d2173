/// The outcome of a call as evidence about the dependency.
///
/// A cancellation by the caller is no evidence about the dependency. A rejection by this library is no evidence either.
/// Both are ``ignored``. A deadline that ends a call is not a cancellation by the caller. The call counts as a
/// ``failure``, even if an enclosing call set the deadline.
public enum Outcome: Hashable, Sendable {
    /// The dependency answered the request.
    case success
    /// The dependency failed or did not answer in time.
    case failure
    /// The call is no evidence about the dependency, as after a cancellation by the caller or a rejection.
    case ignored

    /// Returns the default outcome of an error.
    ///
    /// | category of the error | outcome |
    /// |---|---|
    /// | a fault of the request, see ``ErrorCategory/isRequestFault`` | ``success``: the dependency answered |
    /// | `rateLimited` | ``ignored``: the dependency works and asks for fewer calls |
    /// | any other, and an error without a category | ``failure`` |
    ///
    /// The error of a retry or a hedge has the outcome of the attempt that decided the call.
    ///
    /// An operation can throw a fault of the request before the dependency is called. Such an operation needs a
    /// classification of its own that ignores the error.
    ///
    /// - Parameter error: The error of the call.
    /// - Returns: The outcome.
    public static func standard(for error: any Error) -> Outcome {
        if let error = error as? any AttemptsError { return standard(for: error.decisiveError) }
        guard let category = error.reliability?.category else { return .failure }
        // If faults of the request were ignored, a breaker whose probes all end with such faults would stay half-open
        // forever.
        if category.isRequestFault { return .success }
        return category == .rateLimited ? .ignored : .failure
    }

    /// Returns the outcome of a started operation that threw an error in the calling task.
    ///
    /// ``CancellationCause`` decides whether the task was cancelled. The type of the error does not. An inner timeout
    /// that throws `CancellationError` is a failure if the caller is not cancelled. A rejection from inside is a
    /// failure if a deadline has cancelled the task meanwhile.
    ///
    /// - Parameters:
    ///   - error: The error.
    ///   - wasCancelledBefore: `true` if the task was already cancelled when the operation began. The outcome of a
    ///     cancelled task is then ``ignored``.
    /// - Returns: The outcome.
    package static func ofThrown(_ error: any Error, wasCancelledBefore: Bool) -> Outcome {
        ofCancelled(wasCancelledBefore: wasCancelledBefore) ?? (error.isRejection ? .ignored : .failure)
    }

    /// Returns the outcome of an operation whose task is cancelled, or `nil` if the task is not cancelled.
    ///
    /// The outcome does not depend on a returned value or error because cancelled work often returns early.
    ///
    /// - Parameter wasCancelledBefore: `true` if the task was already cancelled when the operation began.
    /// - Returns: The outcome, or `nil` if the task is not cancelled.
    package static func ofCancelled(wasCancelledBefore: Bool) -> Outcome? {
        switch CancellationCause.current {
        case .none: nil
        case .caller: .ignored
        case .deadline: wasCancelledBefore ? .ignored : .failure
        }
    }
}

extension Error {
    /// A Boolean value that indicates whether a policy rejected the call before the call reached the dependency.
    ///
    /// The value is `false` for an error that does not conform to ``ReliabilityError``.
    package var isRejection: Bool { reliability?.isRejection ?? false }

    /// A Boolean value that indicates whether a started operation that threw this error may have had an effect.
    ///
    /// A rejection and the error of an inner call prove nothing, because the operation may have sent something before.
    /// The value is `false` only if the operation itself states that nothing was sent. The operation states so with a
    /// `NotSentError`, or with an error of its own type that is not a rejection.
    package var leavesOperationPossiblySent: Bool {
        guard let error = reliability else { return true }
        if error is any NotSentStatement { return false }
        return error is any InnerCallError || error.isRejection || error.mayHaveBeenSent
    }
}

/// An error of this library for a call inside an operation.
///
/// The error is no evidence about the rest of the operation.
package protocol InnerCallError: ReliabilityError {}

/// An error that states that the operation sent nothing.
///
/// The statement does not depend on any wrapped error.
package protocol NotSentStatement: ReliabilityError {}
