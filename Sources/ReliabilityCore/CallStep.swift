/// One thing that happened during a call, as its record tells it.
///
/// The set may grow.
@nonexhaustive
public enum CallStep: Sendable, CustomStringConvertible {
    /// An attempt ended after `took`; `error` is nil when it succeeded.
    case attempt(number: Int, took: Duration, error: (any Error)?)
    /// A retry waits before its next attempt.
    case waiting(Duration)
    /// A hedge started another attempt while the first was still under way.
    case hedged(number: Int, after: Duration)
    /// A retry made no further attempt, by the rule with this code.
    case gaveUp(ErrorCode)
    /// A retry made no further attempt, because the call belongs to an extra attempt of a policy further out.
    case suppressed
    /// A policy refused the call, or the attempt, before it reached the dependency.
    case refused(any ReliabilityError)
    /// A time limit was reached.
    case timedOut(limit: Duration)
    /// A fallback answered in place of the call.
    case fellBack(to: String, error: any Error)

    /// The step as text, for logs.
    public var description: String {
        switch self {
        case .attempt(let number, let took, nil): "attempt \(number) succeeded after \(took.text)"
        case .attempt(let number, let took, let error?): "attempt \(number) failed after \(took.text): \(error)"
        case .waiting(let wait): "waits \(wait.text)"
        case .hedged(let number, let delay): "hedged with attempt \(number) after \(delay.text)"
        case .gaveUp(let code): "gave up: \(code)"
        case .suppressed: "not repeated: part of an extra attempt further out"
        case .refused(let error): "refused: \(error)"
        case .timedOut(let limit): "reached the limit of \(limit.text)"
        case .fellBack(let source, let error): "fell back to \(source): \(error)"
        }
    }
}
