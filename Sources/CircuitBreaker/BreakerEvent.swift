public import ReliabilityCore

/// A change of a circuit breaker's state, for an observer.
///
/// Events come in the order of the changes. Each change begins a new generation, numbered one above the last; a call
/// admitted in an earlier generation has no effect on a later one. The set may grow.
@nonexhaustive
public enum BreakerEvent: Hashable, Sendable, ObservedEvent {
    /// Every call is rejected for this long.
    case opened(generation: UInt64, for: Duration)
    /// A few calls are admitted as probes.
    ///
    /// It comes again when probes have not ended in time and others take their place.
    case halfOpened(generation: UInt64)
    /// Every call is admitted.
    case closed(generation: UInt64)
    /// The observer was too slow: so many events were dropped before the next one.
    case missed(count: Int)
}
