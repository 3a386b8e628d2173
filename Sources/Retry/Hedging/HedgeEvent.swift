public import ReliabilityCore

/// An event of a hedger, for an observer.
///
/// A call that is not hedged has no events.
@nonexhaustive
public enum HedgeEvent: Sendable, TracedEvent {
    /// Another attempt began at this time after the start of the call.
    case hedged(attempt: Int, after: Duration)
    /// A call is not hedged because the call belongs to a later attempt of an enclosing retry, or to a hedge.
    ///
    /// The enclosing policy repeats the whole attempt. A call that begins more than a minute after the enclosing
    /// attempt is hedged. The same holds for a call inside `withoutCallContext`.
    case suppressed
    /// Another attempt was due and the budget was exhausted.
    case budgetExhausted(attempt: Int)
    /// This attempt of a call with several attempts succeeded first.
    case won(attempt: Int)
    /// All attempts of a call with several attempts failed.
    case failed(HedgeError)
    /// Events were dropped before the next event, because the observer was too slow.
    case missed(count: Int)

    package var step: CallStep? {
        switch self {
        case .hedged(let attempt, let delay): .hedged(number: attempt, after: delay)
        case .suppressed: .suppressed
        case .budgetExhausted, .won, .failed, .missed: nil
        }
    }
}
