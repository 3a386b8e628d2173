/// A change of a store's availability that a ``GuardedStore`` observes.
package enum StoreAvailability: Sendable {
    /// A call failed or took too long.
    case down(StoreError)
    /// A call succeeded after a failure.
    case recovered
}
