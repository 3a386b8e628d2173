public import ReliabilityCore

/// A change of a circuit breaker's state.
///
/// The observer receives events in the order of the changes. Each of the changes ``opened(generation:for:)``,
/// ``halfOpened(generation:)`` and ``closed(generation:)`` begins a new generation, whose number is higher by 1. A call
/// from an earlier generation has no effect on a later generation.
///
/// In a dry run, the events report what the breaker would do.
@nonexhaustive
public enum BreakerEvent: Hashable, Sendable, ObservedEvent {
    /// The breaker opened and rejects every call for this duration.
    case opened(generation: UInt64, for: Duration)
    /// The breaker admits a few calls as probes.
    case halfOpened(generation: UInt64)
    /// Probes did not end within their lease and lost their places to the next calls.
    case probesLost(generation: UInt64, count: Int)
    /// The breaker closed and admits every call, or a growing share of the calls if there is a ramp.
    case closed(generation: UInt64)
    /// The first handle of ``Breaker/forceOpen()`` or ``Breaker/forceClosed()`` forces the breaker, or another kind of
    /// handle takes effect.
    case forced(open: Bool)
    /// The last handle was released, and the breaker decides again.
    case released
    /// Events were dropped before the next event because the observer was too slow.
    case missed(count: Int)
}
