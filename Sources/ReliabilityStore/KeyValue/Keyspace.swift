internal import ReliabilityCore

/// The name of a group of keys that separates the uses of a store.
public struct Keyspace: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The name.
    public let description: String

    /// Creates a keyspace.
    ///
    /// - Precondition: The name has 1 to 64 bytes.
    public init(_ name: String) {
        requireValid((1...64).contains(name.utf8.count), "a keyspace must have 1 to 64 bytes (is \"\(name)\")")
        description = name
    }

    /// Creates a keyspace from a literal.
    public init(stringLiteral value: String) { self.init(value) }

    /// Returns a Boolean value that indicates whether two names have the same bytes.
    public static func == (left: Keyspace, right: Keyspace) -> Bool {
        left.description.utf8.elementsEqual(right.description.utf8)
    }

    /// Feeds the name's bytes to a hasher.
    public func hash(into hasher: inout Hasher) { description.utf8.forEach { hasher.combine($0) } }
}
