internal import ReliabilityCore

/// A load that is running or waiting for its place.
final class CacheLoad<Value: Sendable>: @unchecked Sendable {
    // @unchecked Sendable: the lock of the cache protects the property that changes.

    /// The answer of a load to its waiting calls.
    struct Answer: Sendable {
        let value: Value
        /// A Boolean value that indicates whether a tag of the value was invalidated during the load.
        let isTagInvalidated: Bool
    }

    let flight: Flight<Answer>
    /// The place of the start in the order of the cache's loads and invalidations.
    let start: UInt64
    /// A Boolean value that indicates whether the load has a place.
    var hasBegun = false

    init(_ flight: Flight<Answer>, start: UInt64) {
        self.flight = flight
        self.start = start
    }
}
