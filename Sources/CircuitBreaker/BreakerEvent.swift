public import ReliabilityCore

/// A change of a circuit breaker's state.
///
/// The observer receives events in the order of the changes. Each change begins a new generation. The generation number
/// increases by 1 with each change. A call from an earlier generation has no effect on a later generation.
@nonexhaustive
public enum BreakerEvent: Hashable, Sendable, ObservedEvent {
    /// The breaker opened and rejects every call for this duration.
    case opened(generation: UInt64, for: Duration)
    /// The breaker admits a few calls as probes.
    ///
    /// The event repeats if other calls replace probes that did not end in time.
    case halfOpened(generation: UInt64)
    /// The breaker closed and admits every call.
    case closed(generation: UInt64)
    /// Events were dropped before the next event because the observer was too slow.
    case missed(count: Int)
}
