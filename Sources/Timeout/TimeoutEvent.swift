public import ReliabilityCore

/// An event of a timeout policy.
@nonexhaustive
public enum TimeoutEvent: Sendable, ObservedEvent {
    /// The call failed at or after its deadline, or had no time left at the start.
    case expired(TimeoutError)
    /// Events were dropped before the next event, because the observer was too slow.
    case missed(count: Int)
}
