public import ReliabilityCore

/// What a hedge policy does, for an observer.
///
/// A call that is not hedged has no events. The set may grow.
@nonexhaustive
public enum HedgeEvent: Sendable, ObservedEvent {
    /// Another attempt began, so long after the call.
    case hedged(attempt: Int, after: Duration)
    /// A call is not hedged because it belongs to a retry's later attempt, or to a hedge.
    ///
    /// The policy further out repeats the whole. A call that is inside `withoutCallContext`, or begins more than a minute
    /// after that attempt, is hedged.
    case suppressed
    /// Another attempt was due, and the budget had nothing left for it.
    case budgetExhausted(attempt: Int)
    /// Of a call with several attempts, this one answered first.
    case won(attempt: Int)
    /// All attempts of a call with several failed.
    case failed(HedgeError)
    /// The observer was too slow: so many events were dropped before the next one.
    case missed(count: Int)
}
