internal import ReliabilityCore
public import ReliabilityStore

/// An event of a limiter, for an observer.
@nonexhaustive
public enum LimiterEvent: Sendable, StoreObservedEvent {
    /// A call was not allowed.
    case limited(LimiterDecision)
    /// The store failed. The failure mode decides until the store has recovered.
    case storeDown(StoreError)
    /// The store answers again.
    case storeRecovered
    /// Events were dropped before the next event, because the observer was too slow.
    case missed(count: Int)
}
