public import ReliabilityCore

/// What a fallback does, for an observer.
///
/// The set may grow.
@nonexhaustive
public enum FallbackEvent: Sendable, ObservedEvent {
    /// The answer with this name took the place of a call that threw this.
    case answered(by: String, error: any Error)
    /// A source with this name was asked in place of a call, and failed too.
    case failed(source: String, error: any Error)
    /// A call threw this, and there was no answer to take its place.
    case unanswered(error: any Error)
    /// The observer was too slow: so many events were dropped before the next one.
    case missed(count: Int)
}
