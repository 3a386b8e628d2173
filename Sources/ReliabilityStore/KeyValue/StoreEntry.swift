/// An entry at the time of a read.
public struct StoreEntry: Hashable, Sendable {
    /// The value.
    public let value: [UInt8]
    /// The version of this state of the entry.
    public let version: StoreVersion
    /// The remaining life of the entry, or `nil` if the entry does not expire.
    public let remaining: Duration?

    /// Creates an entry.
    public init(value: [UInt8], version: StoreVersion, remaining: Duration?) {
        self.value = value
        self.version = version
        self.remaining = remaining
    }
}
