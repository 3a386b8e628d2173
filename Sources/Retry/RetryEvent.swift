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
    /// The error says why, and what was tried. It is what the call throws, or for a result that is returned, would have
    /// thrown.
    case gaveUp(RetryError)
    /// The observer was too slow: so many events were dropped before the next one.
    case missed(count: Int)
}
