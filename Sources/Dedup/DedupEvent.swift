public import ReliabilityCore
public import ReliabilityStore

/// What a deduplicator does, for an observer.
///
/// The set may grow.
@nonexhaustive
public enum DedupEvent: Sendable, ObservedEvent {
    /// The operation ran, and its result is kept.
    case executed
    /// A duplicate got the first result.
    case replayed
    /// A call was refused.
    case refused(DedupError)
    /// The claim of a process that is gone was taken over.
    case tookOver
    /// The operation failed or its result is not final: the claim was given up, and the next call runs.
    case released
    /// The operation ran without a claim, because the store is down and the policy is open.
    case ranUnprotected(StoreError)
    /// The operation ended after another caller had taken its claim: both ran, and the other's result counts.
    case lostOwnership
    /// The operation ran, and its result could not be kept.
    ///
    /// When its lease ends, the next call runs again.
    case notStored(StoreError)
    /// The claim could not be given up; it ends with its lease.
    case notReleased(StoreError)
    /// The observer was too slow: so many events were dropped before the next one.
    case missed(count: Int)
}
