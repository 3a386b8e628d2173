public import ReliabilityCore

/// An event of a fallback, for an observer.
@nonexhaustive
public enum FallbackEvent: Sendable, TracedEvent {
    /// The answer with this name replaced the error of a call.
    case answered(by: String, error: any Error)
    /// The source with this name failed after the call had failed.
    case failed(source: String, error: any Error)
    /// A call failed and no answer had a value.
    case unanswered(error: any Error)
    /// Events were dropped before the next event, because the observer was too slow.
    case missed(count: Int)

    package var step: CallStep? {
        switch self {
        case .answered(let source, let error): .fellBack(to: source, error: error)
        case .failed, .unanswered, .missed: nil
        }
    }
}
