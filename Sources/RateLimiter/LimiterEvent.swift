public import ReliabilityStore

/// What a limiter does, for an observer.
///
/// The set may grow.
@nonexhaustive
public enum LimiterEvent: Sendable {
    /// A call was not allowed.
    case limited(RateDecision)
    /// The store does not answer; from now on the failure policy decides.
    case storeDown(StoreError)
    /// The store answers again.
    case storeBack
}
