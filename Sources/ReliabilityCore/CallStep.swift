/// One thing that happened during a call, as its record tells it.
///
/// The set may grow.
@nonexhaustive
public enum CallStep: Sendable {
    /// An attempt ended after `took`; `error` is nil when it succeeded.
    case attempt(number: Int, took: Duration, error: (any Error)?)
    /// A retry waits before its next attempt.
    case waiting(Duration)
    /// A hedge started another attempt while the first was still under way.
    case hedged(number: Int, after: Duration)
    /// A retry made no further attempt, by the rule with this code.
    case gaveUp(ErrorCode)
    /// A policy refused the call, or the attempt, before it reached the dependency.
    case refused(any ReliabilityError)
    /// A time limit was reached.
    case timedOut(limit: Duration)
    /// A fallback answered in place of the call.
    case fellBack(to: String, error: any Error)
}
