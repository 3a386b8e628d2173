public import CircuitBreaker
public import ReliabilityCore

/// An event of an external call, for an observer.
@nonexhaustive
public enum ExternalCallEvent: Sendable, ObservedEvent {
    /// A call has ended.
    case ended(CallReport)
    /// The state of the circuit breaker has changed.
    case breaker(BreakerEvent)
    /// Events were dropped before the next event, because the observer was too slow.
    case missed(count: Int)
}
