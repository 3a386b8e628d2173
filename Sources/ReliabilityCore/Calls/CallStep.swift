/// A step of a call in its report.
@nonexhaustive
public enum CallStep: Sendable, CustomStringConvertible {
    /// An attempt ended after `took`. The error is `nil` if the attempt succeeded.
    case attempt(number: Int, took: Duration, error: (any Error)?)
    /// A retry waited before its next attempt.
    case waiting(Duration)
    /// The call or attempt waited in the queue of a bulkhead.
    case queued(Duration)
    /// A hedge started another attempt while an earlier attempt was under way.
    case hedged(number: Int, after: Duration)
    /// A retry made no further attempt for the reason with this code.
    case gaveUp(ErrorCode)
    /// A retry made no further attempt, or a hedger no hedge, because the call is part of an extra attempt of an
    /// enclosing policy.
    case suppressed
    /// A policy rejected the call or attempt before the dependency was reached.
    case rejected(any ReliabilityError)
    /// A time limit was reached.
    case timedOut(limit: Duration)
    /// A fallback answered instead of the call.
    case fellBack(to: String, error: any Error)

    /// The step as text for logs.
    public var description: String {
        switch self {
        case .attempt(let number, let took, nil): "attempt \(number) succeeded after \(took.text)"
        case .attempt(let number, let took, let error?): "attempt \(number) failed after \(took.text): \(error)"
        case .waiting(let wait): "waits \(wait.text)"
        case .queued(let wait): "waited \(wait.text) for a place"
        case .hedged(let number, let delay): "hedged with attempt \(number) after \(delay.text)"
        case .gaveUp(let code): "gave up: \(code)"
        case .suppressed: "not repeated: part of an extra attempt further out"
        case .rejected(let error): "rejected: \(error)"
        case .timedOut(let limit): "reached the limit of \(limit.text)"
        case .fellBack(let source, let error): "fell back to \(source): \(error)"
        }
    }
}
