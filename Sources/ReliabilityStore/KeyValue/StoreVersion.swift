/// The number of one state of an entry or a record.
///
/// The store issues versions in strictly increasing order for the store's whole life. A version is never used again,
/// not even after a delete, an expiry or a restart. A version serves as an ETag and as a fencing token.
public struct StoreVersion: RawRepresentable, Comparable, Hashable, Sendable, CustomStringConvertible {
    /// The number.
    public let rawValue: UInt64

    /// Creates a version from its number.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The number as text.
    public var description: String { String(rawValue) }

    /// Returns a Boolean value that indicates whether the first version was issued before the second version.
    public static func < (first: StoreVersion, second: StoreVersion) -> Bool { first.rawValue < second.rawValue }
}
