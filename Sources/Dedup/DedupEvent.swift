public import ReliabilityCore
public import ReliabilityStore

/// An event of a deduplicator, for an observer.
///
/// A request names its caller's data: an observer that logs it logs identities of customers. The set may grow.
@nonexhaustive
public enum DedupEvent: Sendable, ObservedEvent {
    /// The operation ran, and its result is kept.
    case executed(DedupRequest)
    /// A duplicate got the first result.
    case replayed(DedupRequest)
    /// A call was rejected.
    case refused(DedupRequest, DedupError)
    /// A call took over a claim that was never settled, because its process is gone or stood still.
    ///
    /// The effects of the first run are not known. The operation learns it from ``DedupClaim/isTakeover``.
    case tookOver(DedupRequest)
    /// The operation failed or its result is not final: the claim was given up, and the next call runs.
    case released(DedupRequest)
    /// The operation ran without a claim, because the store is down and the policy is open.
    ///
    /// Duplicates run too.
    case ranUnprotected(DedupRequest, StoreError)
    /// The operation ended after another caller had taken over its claim.
    ///
    /// Both ran, and the other's result counts.
    case lostOwnership(DedupRequest)
    /// The operation ran, the store had no room for its result, and only that it ran is kept.
    ///
    /// Duplicates get an error with the reason ``DedupError/Reason/resultNotKept``; the operation does not run again.
    case resultNotKept(DedupRequest, StoreError)
    /// The operation ran, and the store failed for good before it took the result.
    ///
    /// The next call takes over the claim and runs again.
    case notStored(DedupRequest, StoreError)
    /// The store failed for good before the claim could be given up; the next call takes it over when its lease ends.
    case notReleased(DedupRequest, StoreError)
    /// The observer was too slow: so many events were dropped before the next one.
    case missed(count: Int)
}
