internal import ReliabilityCore
public import ReliabilityStore

/// An event of a deduplicator, for an observer.
///
/// A request contains data of the caller. An observer that logs a request logs the identities of customers.
@nonexhaustive
public enum DedupEvent: Sendable, StoreObservedEvent {
    /// The operation ran, and its result is stored.
    case executed(DedupRequest)
    /// A duplicate received the first result.
    case replayed(DedupRequest)
    /// A call was rejected.
    case rejected(DedupRequest, DedupError)
    /// A call took over a claim that was never settled.
    ///
    /// The effects of the earlier run are unknown. The operation reads ``DedupClaim/isTakeover``.
    case tookOver(DedupRequest)
    /// The operation failed or its result is not final, and the claim was released.
    ///
    /// The next call with the key runs.
    case released(DedupRequest)
    /// The operation ran without a claim, because the store is down and the failure mode is `failOpen`.
    ///
    /// Duplicates run too.
    case ranUnprotected(DedupRequest, StoreError)
    /// The operation ended after another caller had taken over its claim.
    ///
    /// Both calls ran. The result of the other call is stored.
    case lostOwnership(DedupRequest)
    /// The operation ran, and the store had no room for its result.
    ///
    /// The store keeps a record that the operation ran. Duplicates are rejected with
    /// ``DedupError/Reason/resultNotKept``, and the operation does not run again.
    case resultNotKept(DedupRequest, StoreError)
    /// The operation ran, and the store failed permanently before it stored the result.
    ///
    /// A later call takes over the claim and runs the operation again.
    case notStored(DedupRequest, StoreError)
    /// The store failed permanently before the claim was released.
    ///
    /// A later call takes over the claim when its lease has ended.
    case notReleased(DedupRequest, StoreError)
    /// The store failed. The failure mode decides until the store has recovered.
    case storeDown(StoreError)
    /// The store answers again.
    case storeRecovered
    /// Events were dropped before the next event, because the observer was too slow.
    case missed(count: Int)
}
