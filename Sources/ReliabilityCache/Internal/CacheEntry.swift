internal import ReliabilityCore

/// A value or a remembered failure, with the times at which it can be served.
///
/// Every time is a clock reading in nanoseconds.
@usableFromInline
struct CacheEntry<Value: Sendable>: Sendable {
    /// The content of an entry.
    @usableFromInline
    enum Content: Sendable {
        case value(Value)
        case failure(any Error)
    }

    @usableFromInline var content: Content
    /// The place of the load's start, or of the put, in the order of the cache's loads and invalidations.
    @usableFromInline var start: UInt64
    /// The version that the user gave, or `nil`.
    var version: UInt64?
    /// The cost with the overhead.
    var cost: Int
    /// The time from which a use starts a load in the background.
    @usableFromInline var refreshTime: Int64
    /// The time from which the content is no longer fresh.
    var expiry: Int64
    /// The time before which a failed load is not repeated while the content can be served.
    var retryTime = Int64.min
    @usableFromInline var tags: [CacheTags.Tag] = []

    var value: Value? { if case .value(let value) = content { value } else { nil } }

    @usableFromInline var isInvalidated: Bool { tags.contains { $0.invalidated > start } }
}
