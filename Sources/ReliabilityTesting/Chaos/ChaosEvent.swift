public import ReliabilityCore

/// What chaos did to a call, for an observer.
///
/// The set may grow.
@nonexhaustive
public enum ChaosEvent: Sendable, ObservedEvent {
    /// The call was begun this much later.
    case delayed(Duration)
    /// The call was not made, and threw this.
    case failed(any Error)
    /// The call was made, and threw this in place of its result.
    case lostAnswer(any Error)
    /// The call hangs.
    case hanging
    /// The call returned something else than its result.
    case wrongResult
    /// The observer was too slow: so many events were dropped before the next one.
    case missed(count: Int)
}
