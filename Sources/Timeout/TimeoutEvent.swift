/// What a timeout policy does, for an observer.
///
/// The set may grow.
@nonexhaustive
public enum TimeoutEvent: Sendable {
    /// A call did not end before the deadline.
    case expired(TimeoutError)
}
