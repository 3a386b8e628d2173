public import ReliabilityCore

/// An event of a ``BreakerRegistry``.
@nonexhaustive
public enum BreakerRegistryEvent<Key: Hashable & Sendable>: Hashable, Sendable, ObservedEvent {
    /// The breaker of a key changed its state.
    case breaker(Key, BreakerEvent)
    /// The registry removed the closed breaker of a key to make room for another key.
    case evicted(Key)
    /// The registry is full and can remove no breaker, so the calls for this key are not guarded.
    ///
    /// The event repeats only after the registry had room again.
    case full(Key)
    /// Events were dropped before the next event because the observer was too slow.
    case missed(count: Int)
}
