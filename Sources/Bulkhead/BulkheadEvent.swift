public import ReliabilityCore

/// An event of a bulkhead.
@nonexhaustive
public enum BulkheadEvent: Hashable, Sendable, ObservedEvent {
    /// A call was rejected.
    case rejected(BulkheadError)
    /// An adaptive limit or a reload changed the number of places.
    case limitChanged(Int)
    /// Events were dropped before the next event because the observer was too slow.
    case missed(count: Int)
}
