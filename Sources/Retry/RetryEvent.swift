/// What a retry policy does, for an observer.
///
/// The set may grow.
@nonexhaustive
public enum RetryEvent: Sendable {
    /// An attempt failed, and there is another after the wait.
    ///
    /// The error is an ``UnwantedResultError`` when the attempt returned a result that is to be tried again.
    case retrying(attempt: Int, after: Duration, error: any Error)
    /// The last attempt failed, and there is no other.
    ///
    /// The error says why, and what was tried. It is what the call throws, or for a result that is returned, would have
    /// thrown.
    case gaveUp(RetryError)
    /// An attempt failed, and there is no other because the call belongs to a retry's later attempt, or to a hedge.
    ///
    /// The policy further out repeats the whole. A call that begins more than a minute after that attempt, or inside
    /// `withoutCallContext`, has all its attempts.
    case suppressed(error: any Error)
}
