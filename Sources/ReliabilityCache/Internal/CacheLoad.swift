internal import ReliabilityCore

/// A load that is running or waiting for its place.
final class CacheLoad<Value: Sendable>: @unchecked Sendable {
    // @unchecked Sendable: the load writes `result` before its flight ends, and the calls read `result` afterwards. The
    // lock `Flight.state` orders both. The lock `LoadingCache.state` protects the other properties that change.

    /// The answer of a load to its waiting calls.
    struct Answer: Sendable {
        let value: Value
        /// A Boolean value that indicates whether a tag of the value was invalidated during the load.
        let isTagInvalidated: Bool
    }

    let flight: Flight
    /// The place of the start in the order of the cache's loads and invalidations.
    let start: UInt64
    let place: LoadPlaces.Place
    /// A Boolean value that indicates whether the load has a place.
    var hasBegun = false
    /// The error of a load that has run or waited for too long.
    var timeout: CacheError?
    var result: Result<Answer, any Error>?

    init(_ flight: Flight, start: UInt64, key: any Sendable) {
        place = LoadPlaces.Place(key)
        self.flight = flight
        self.start = start
    }
}
