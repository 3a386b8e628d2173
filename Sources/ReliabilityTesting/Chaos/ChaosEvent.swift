public import ReliabilityCore

/// An action of chaos on a call for an observer.
@nonexhaustive
public enum ChaosEvent: Sendable, ObservedEvent {
    /// The call begins later by this duration.
    case delayed(Duration)
    /// The call was not made and threw this error.
    case failed(any Error)
    /// The call was made and threw this error in place of its result.
    case lostAnswer(any Error)
    /// The call hangs.
    case hanging
    /// The call returned a changed result.
    case wrongResult
    /// The observer was too slow. This number of events was dropped before the next event.
    case missed(count: Int)
}
