/// An operation of a store.
@nonexhaustive
public enum StoreOperation: Hashable, Sendable, CaseIterable {
    /// Reads entries.
    case get
    /// Makes writes, with or without new records.
    case commit
    /// Makes atomic updates.
    case update
    /// Reads a page of entries.
    case scan
    /// Adds records.
    case enqueue
    /// Claims records.
    case claim
    /// Settles records.
    case settle
    /// Returns the time until the next record is due.
    case nextDue
    /// Counts records.
    case counts
    /// Reads a page of records.
    case page

    /// A Boolean value that indicates whether the operation changes the store.
    public var isWrite: Bool {
        switch self {
        case .commit, .update, .enqueue, .claim, .settle: true
        case .get, .scan, .nextDue, .counts, .page: false
        }
    }
}
