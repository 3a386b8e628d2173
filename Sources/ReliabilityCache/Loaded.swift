/// The answer of a loader to a cache.
public struct Loaded<Value: Sendable>: Sendable {
    /// The value for the calls that wait.
    public var value: Value
    /// The lifetime of the value, or `nil` for the lifetime of the configuration.
    ///
    /// A lifetime that is not positive prevents the storing.
    public var timeToLive: Duration?
    /// The tags by which ``LoadingCache/invalidate(tag:)`` finds the value.
    public var tags: Set<String>
    /// The version of the value at its source, or `nil`.
    ///
    /// A value never replaces a present value of a higher version.
    public var version: UInt64?
    /// A Boolean value that indicates whether the cache stores the value.
    public var isStored: Bool

    private init(value: Value, timeToLive: Duration?, tags: Set<String>, version: UInt64?, isStored: Bool) {
        self.value = value
        self.timeToLive = timeToLive
        self.tags = tags
        self.version = version
        self.isStored = isStored
    }

    /// Returns a value that the cache stores.
    ///
    /// An absent value is an optional value that is `nil`, with a short lifetime of its own.
    ///
    /// - Parameters:
    ///   - value: The value.
    ///   - timeToLive: The lifetime. Defaults to `nil` for the lifetime of the configuration.
    ///   - tags: The tags. Defaults to no tags.
    ///   - version: The version of the value at its source. Defaults to `nil`.
    /// - Returns: The answer.
    public static func value(
        _ value: Value,
        timeToLive: Duration? = nil,
        tags: Set<String> = [],
        version: UInt64? = nil
    ) -> Loaded {
        Loaded(value: value, timeToLive: timeToLive, tags: tags, version: version, isStored: true)
    }

    /// Returns a value for the calls that wait, which the cache does not store.
    ///
    /// - Parameter value: The value.
    /// - Returns: The answer.
    public static func notStored(_ value: Value) -> Loaded {
        Loaded(value: value, timeToLive: nil, tags: [], version: nil, isStored: false)
    }
}
