internal import ReliabilityCore

/// The name of an operation that runs once for each key, such as `charge` or `refund`.
///
/// The same key under two operations is two requests. A single deduplicator can therefore serve several routes.
public struct DedupOperation: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The name.
    public let description: String

    /// Creates the name of an operation.
    ///
    /// - Parameter name: The name, chosen by the program. A name from outside the program belongs in the key.
    /// - Precondition: The name has 1 to 64 bytes.
    public init(_ name: String) {
        requireValid(
            (1...64).contains(name.utf8.count),
            "the name of a dedup operation must have 1 to 64 bytes (is \"\(name)\", \(name.utf8.count) bytes)"
        )
        description = name
    }

    /// Creates the name of an operation from a literal.
    ///
    /// - Precondition: The name has 1 to 64 bytes.
    public init(stringLiteral value: String) { self.init(value) }

    /// Returns a Boolean value that indicates whether two names have the same bytes.
    public static func == (left: DedupOperation, right: DedupOperation) -> Bool {
        left.description.utf8.elementsEqual(right.description.utf8)
    }

    /// Feeds the bytes of the name to a hasher.
    public func hash(into hasher: inout Hasher) { description.utf8.forEach { hasher.combine($0) } }
}
