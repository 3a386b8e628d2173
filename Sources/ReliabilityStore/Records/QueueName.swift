/// The name of a queue of records.
///
/// The name has 1 to 64 bytes, and a store rejects any other length as ``StoreError/Reason/invalid``. A store compares
/// names by their bytes.
public struct QueueName: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The name.
    public let description: String

    /// Creates a queue's name.
    public init(_ name: String) { description = name }

    /// Creates a queue's name from a literal.
    public init(stringLiteral value: String) { description = value }

    /// Returns a Boolean value that indicates whether two names have the same bytes.
    public static func == (left: QueueName, right: QueueName) -> Bool {
        left.description.utf8.elementsEqual(right.description.utf8)
    }

    /// Feeds the name's bytes to a hasher.
    public func hash(into hasher: inout Hasher) { description.utf8.forEach { hasher.combine($0) } }
}
