/// What a call asks of a store.
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
    /// Hands out records.
    case claim
    /// Settles records.
    case settle
    /// Says when a record is due.
    case nextDue
    /// Counts records.
    case counts
    /// Reads a page of records.
    case page

    /// Whether the operation changes the store.
    public var isWrite: Bool {
        switch self {
        case .commit, .update, .enqueue, .claim, .settle: true
        case .get, .scan, .nextDue, .counts, .page: false
        }
    }
}

/// One call to a ``FaultInjectingStore``.
public struct StoreCall: Hashable, Sendable {
    /// What was asked.
    public let operation: StoreOperation
    /// Which call of this operation it is, from 1.
    public let ordinal: Int
    /// Which call of all it is, from 1.
    public let index: Int

    /// Creates a call, to ask a function that says what goes wrong with it.
    public init(operation: StoreOperation, ordinal: Int, index: Int) {
        self.operation = operation
        self.ordinal = ordinal
        self.index = index
    }
}
