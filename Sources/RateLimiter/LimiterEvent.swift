public import ReliabilityCore
public import ReliabilityStore

/// What a limiter does, for an observer.
///
/// The set may grow.
@nonexhaustive
public enum LimiterEvent: Sendable, ObservedEvent {
    /// A call was not allowed.
    case limited(RateDecision)
    /// The store does not answer; from now on the failure policy decides.
    case storeDown(StoreError)
    /// The store answers again.
    case storeBack
    /// The observer was too slow: so many events were dropped before the next one.
    case missed(count: Int)
}
