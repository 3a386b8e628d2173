public import ReliabilityStore

/// What a deduplicator does, for an observer.
///
/// The set may grow.
@nonexhaustive
public enum DedupEvent: Sendable {
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
    /// The operation ran, the store had no room for its result, and only that it ran is kept.
    ///
    /// Duplicates get an error with the reason ``DedupError/Reason/resultNotKept``; the operation does not run again.
    case resultNotKept(StoreError)
    /// The operation ran, and the store failed for good before it took the result.
    ///
    /// The next call runs again once the claim's lease has ended or the store has been opened again.
    case notStored(StoreError)
    /// The store failed for good before the claim could be given up; the claim ends with its lease.
    case notReleased(StoreError)
}
