/// What a retry policy does, for an observer.
///
/// The set may grow.
@nonexhaustive
public enum RetryEvent: Sendable {
    /// An attempt failed, and there is another after the wait.
    case retrying(attempt: Int, after: Duration, error: any Error)
    /// The last attempt failed, and there is no other.
    case gaveUp(RetryError)
}
