internal import ReliabilityCore

/// The name of an operation that is run once for each key, such as `charge` or `refund`.
///
/// One key under two operations is two requests, so one deduplicator can serve several routes.
public struct DedupOperation: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The name.
    public let description: String

    /// Creates an operation's name.
    ///
    /// - Parameter name: The name. A name from outside the program belongs in the key.
    /// - Precondition: The name has 1 to 64 bytes.
    public init(_ name: String) {
        requireValid((1...64).contains(name.utf8.count), "an operation's name has 1 to 64 bytes (is \"\(name)\")")
        description = name
    }

    /// Creates an operation's name from a literal.
    ///
    /// - Precondition: The name has 1 to 64 bytes.
    public init(stringLiteral value: String) { self.init(value) }

    /// Whether two names have the same bytes.
    public static func == (left: DedupOperation, right: DedupOperation) -> Bool {
        left.description.utf8.elementsEqual(right.description.utf8)
    }

    /// Feeds the name's bytes to a hasher.
    public func hash(into hasher: inout Hasher) { description.utf8.forEach { hasher.combine($0) } }
}
