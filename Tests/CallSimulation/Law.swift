/// What holds for every nesting.
///
/// Each law compares what the library did with the ground truth that the operations and the callers' tasks have written
/// down. The words: a *run* of a layer is one call through it, its *attempts* are the runs of what is inside. *To leave*
/// is to cancel a call before its deadline: the caller does, and so does a hedge with an attempt that has lost.
package enum Law: String, CaseIterable, Sendable {
    /// A retry that is not idempotent begins no attempt after an earlier attempt has sent something.
    ///
    /// The operations of nestings tell the truth: none that has sent something throws `NotSentError`, or an error of its
    /// own that says that nothing was sent. Rejections by a policy that the operation itself calls are no such statement.
    case sentOnce
    /// An error that a policy has made after something was sent says that the call may have been sent, and is no rejection.
    ///
    /// A retry that throws its last attempt's error as it is answers for the attempts before the last one too. Outside of
    /// a pipeline, a retry whose attempts all threw rejections may be a rejection itself: it cannot know whether they came
    /// from a policy around the operation or from inside the operation.
    case saysWhatWasSent
    /// A circuit breaker counts one failure for each admitted call that failed, or that a deadline ended, and none for a
    /// call that returned, whose caller left first, or in which no operation began.
    ///
    /// Not decided here: a call that began after its deadline; one that threw by itself after its deadline; one in which
    /// a policy rejected something after an operation had begun; a call inside another of the same breaker, of which
    /// either may be counted, or both; an error that says that the dependency is asked too often.
    case countsEvidence
    /// A circuit breaker is closed in the end, when all that went through it while the dependency was well succeeded or
    /// was rejected by a circuit breaker.
    ///
    /// The calls at the end come one after the other, each longer after the last than a breaker stays open.
    case closesInTheEnd
    /// A task that outlives the call which started it has no deadline of a call that has ended, and no time limit inside
    /// it is cut by one.
    case deadlineEndsWithCall
    /// A default and a fallback answer whenever the time is up, unless the caller left before.
    ///
    /// A fallback answers every other failure too, unless the error finds fault with the request.
    case answersWhenTimeIsUp
    /// A call that fails at or after its deadline throws `TimeoutError`, and one that fails before it, or whose caller
    /// left before it, throws its own error.
    ///
    /// The clock decides, not who noticed first. Where the caller left at the instant of the deadline, either is right.
    case clockDecides
    /// A layer throws what its last attempt threw, or an error of its own if it decided the call itself.
    ///
    /// A retry and a hedge that made one attempt throw the attempt's error.
    case errorNamesPolicy
    /// A call returns when its caller leaves and at its deadline, or when what cannot be interrupted inside has ended.
    ///
    /// While the store is down, a call that needs it may wait for it after its caller has left, and not after its deadline.
    case returnsInTime
    /// A retry makes no more attempts than configured, and none after its deadline, after its caller left, or sooner than
    /// the dependency asked; a layer that is no retry and no hedge makes one.
    case boundsAttempts
    /// A retry makes all its attempts while each failure may pass, unless it has a deadline, its caller leaves, or it
    /// belongs to an attempt of an enclosing retry or hedge that repeats it and began no more than a minute before.
    case makesItsAttempts
    /// A limiter lets no more calls through, in any time, than a burst and what comes back in that time.
    case keepsRate
    /// Of the operations with one deduplication key, none begins after another has returned or while another runs.
    case runsOnce
    /// A message is delivered until a delivery returns or all attempts are made, its deliveries are numbered, and none
    /// begins after one has returned.
    ///
    /// With a store that is down for a while, a claim of which nobody has learnt counts as a delivery.
    case deliversOnce
    /// A value that comes after its caller has walked away is disposed of, once, and no other value is.
    case disposesLateValues
    /// Every call ends.
    case everyCallEnds
}

/// A law that did not hold.
package struct Violation: Error, Hashable, Sendable, CustomStringConvertible {
    /// The law.
    package var law: Law
    /// What happened instead.
    package var what: String

    package var description: String { "\(law): \(what)" }
}
