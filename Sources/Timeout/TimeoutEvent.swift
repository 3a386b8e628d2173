public import ReliabilityCore

/// What a timeout policy does, for an observer.
///
/// The set may grow.
@nonexhaustive
public enum TimeoutEvent: Sendable, ObservedEvent {
    /// A call did not end before the deadline.
    case expired(TimeoutError)
    /// The observer was too slow: so many events were dropped before the next one.
    case missed(count: Int)
}
