/// A law that holds for every nesting.
///
/// Each law compares the behavior of the library with the ground truth, which the operations and the callers' tasks
/// record. A *run* of a layer is one call through the layer. Its *attempts* are the runs of the inside of the layer. To
/// *leave* is to cancel a call before its deadline. A caller leaves, and a hedge leaves a losing attempt.
package enum Law: String, CaseIterable, Sendable {
    /// A retry that is not idempotent begins no attempt after an earlier attempt has sent something.
    ///
    /// The operations of nestings are correct: an operation that has sent something throws no error that states that nothing
    /// was sent. A rejection by a policy that the operation calls is not such a statement.
    case sentOnce
    /// An error that a policy creates after something was sent is no rejection, and its `mayHaveBeenSent` is `true`.
    ///
    /// An unchanged error of a retry's last attempt describes the earlier attempts too. Outside of a pipeline, the error of
    /// a retry whose attempts were all rejected may be a rejection: the source of the rejections is unknown.
    case reportsWhatWasSent
    /// A circuit breaker counts one failure for each admitted call that failed, or that a deadline ended, and none for a
    /// call that returned, whose caller left first, or in which no operation began.
    ///
    /// The law does not decide about some calls:
    /// - a call that began, or threw by itself, after its deadline
    /// - a call in which a policy rejected something after an operation had begun
    /// - a call inside another call of the same breaker, of which either or both may count
    /// - a throttled call
    case countsOutcomes
    /// A circuit breaker is closed after the dependency has recovered and all calls have succeeded or were rejected by a
    /// circuit breaker.
    ///
    /// The final calls are made one after the other, with pauses longer than a breaker's open time.
    case closesAfterRecovery
    /// A task that outlives its call has no deadline of a call that has ended, and no such deadline cuts a limit in the task.
    case deadlineEndsWithCall
    /// A default and a fallback answer at an expired deadline, unless the caller left before.
    ///
    /// A fallback answers every other failure too, unless the error blames the request.
    case answersAtDeadline
    /// A call that fails at or after its deadline throws `TimeoutError`, and one that fails before it, or whose caller
    /// left before it, throws its own error.
    ///
    /// The clock decides, and not the order of events. If the caller left at the instant of the deadline, either is right.
    case clockDecides
    /// A layer throws the error of its last attempt, or its own error if the layer decided the call.
    ///
    /// A retry and a hedge that made one attempt throw the attempt's error.
    case errorNamesPolicy
    /// A call returns when its caller leaves and at its deadline, or at the end of work that cannot be interrupted.
    ///
    /// A call of a bulkhead begins or is rejected at the latest after the longest wait.
    ///
    /// A call may wait for an unavailable store after its caller has left, but not after its deadline.
    case returnsInTime
    /// A retry makes no more attempts than configured, and no attempt after its deadline, after its caller left, or before
    /// the dependency's retry-after. A layer other than a retry or a hedge makes one attempt.
    case boundsAttempts
    /// A retry makes all its attempts after failures that can pass, unless the retry has a deadline, its caller leaves, or
    /// the retry began in the first minute of an extra attempt of an enclosing retry or hedge.
    case makesAllAttempts
    /// A limiter admits in any interval no more calls than a burst and the refill of the interval.
    case keepsRate
    /// A bulkhead never runs more calls than it has places, and all places are free at the end.
    ///
    /// A call whose work was abandoned runs until the work ends.
    case keepsPlaces
    /// A call of a bulkhead with one place does not begin while a call that came earlier waits.
    ///
    /// The law does not decide about an earlier call that may have been rejected or that has a deadline.
    case keepsOrder
    /// Of the operations with one deduplication key, none begins after another has returned or while another runs.
    case runsOnce
    /// A message is delivered until a delivery returns or all attempts are made, its deliveries are numbered, and none
    /// begins after one has returned.
    ///
    /// While the store is down, a claim with a lost response counts as a delivery.
    case deliversOnce
    /// A value that arrives after its caller has abandoned the call is disposed of once, and no other value is disposed of.
    case disposesLateValues
    /// Every call ends.
    case everyCallEnds
}

/// A violation of a law.
package struct Violation: Error, Hashable, Sendable, CustomStringConvertible {
    /// The law.
    package var law: Law
    /// The observed behavior.
    package var behavior: String

    package var description: String { "\(law): \(behavior)" }
}
