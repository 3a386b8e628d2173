/// The number a store gives to a state of an entry.
///
/// It is issued by the store, increases strictly for the store's whole life and is never used again: not after a
/// delete, an expiry or a restart. It serves as an ETag and as a fencing token.
public struct StoreVersion: RawRepresentable, Comparable, Hashable, Sendable, CustomStringConvertible {
    /// The number.
    public let rawValue: UInt64

    /// Creates a version from its number.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The number's text.
    public var description: String { String(rawValue) }

    /// Whether the first version was issued before the second.
    public static func < (first: StoreVersion, second: StoreVersion) -> Bool { first.rawValue < second.rawValue }
}
