public import ReliabilityCore

/// What a retry policy does, for an observer.
///
/// The set may grow.
@nonexhaustive
public enum RetryEvent: Sendable, ObservedEvent {
    /// An attempt failed, and there is another after the wait.
    ///
    /// The error is an ``UnwantedResultError`` when the attempt returned a result that is to be tried again.
    case retrying(attempt: Int, after: Duration, error: any Error)
    /// The last attempt failed, and there is no other.
    ///
    /// The error says why, and what was tried. The call throws it if it made several attempts. A call that made one attempt
    /// throws the attempt's own error, and a result is returned.
    case gaveUp(RetryError)
    /// An attempt failed, and there is no other because the call belongs to a retry's later attempt, or to a hedge.
    ///
    /// The policy further out repeats the whole. A call that begins more than a minute after that attempt, or inside
    /// `withoutCallContext`, has all its attempts.
    case suppressed(error: any Error)
    /// The observer was too slow: so many events were dropped before the next one.
    case missed(count: Int)
}
