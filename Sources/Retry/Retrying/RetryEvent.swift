public import ReliabilityCore

/// An event of a retry policy, for an observer.
@nonexhaustive
public enum RetryEvent: Sendable, TracedEvent {
    /// An attempt failed and another attempt follows after the wait.
    ///
    /// The error is an ``UnwantedResultError`` if the attempt returned a result that is to be retried.
    case retrying(attempt: Int, after: Duration, error: any Error)
    /// The last attempt failed and the policy gave up.
    ///
    /// The error gives the reason and the attempts, also of a call that returns a result or throws another error.
    case gaveUp(RetryError)
    /// An attempt failed and the policy left the decision to an enclosing policy.
    ///
    /// The call belongs to a later attempt of an enclosing retry, or to a hedge. The enclosing policy repeats the whole
    /// attempt. A call that begins more than a minute after the enclosing attempt is not suppressed. The same holds for
    /// a call inside `withoutCallContext`.
    case suppressed(error: any Error)
    /// Events were dropped before the next event, because the observer was too slow.
    case missed(count: Int)

    package var step: CallStep? {
        switch self {
        case .retrying(_, let wait, _): .waiting(wait)
        case .gaveUp(let error): .gaveUp(error.code)
        case .suppressed: .suppressed
        case .missed: nil
        }
    }
}
