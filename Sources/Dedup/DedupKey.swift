internal import ReliabilityCore
internal import ReliabilityStore

/// The identity of a request under its operation: its owner, and the name that the owner gave it.
///
/// ```swift
/// [customerID, idempotencyKey]                     // where a key is expected
/// DedupKey([tenantID] + request.path)              // an array that is known at run time
/// ```
///
/// Name the owner first, or one customer's key meets another's. Components never run into each other, whatever bytes
/// they have, and any length fits: the store sees a digest, so no customer's data is in its keys. A key that is empty,
/// or has an empty component, is rejected when it is used: requests that name nothing are not all the same request.
public struct DedupKey: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
    // Bytes: strings would compare by canonical equivalence.
    private let components: [[UInt8]]

    /// Creates a key from its components.
    ///
    /// - Parameter components: The owner first; each at least one byte.
    public init(_ components: [String]) {
        self.components = components.map { Array($0.utf8) }
    }

    /// Creates a key from its components.
    ///
    /// - Parameter components: The owner first; each at least one byte.
    public init(_ components: String...) { self.init(components) }

    /// Creates a key from a literal of its components.
    public init(arrayLiteral elements: String...) { self.init(elements) }

    /// The components as a JSON array on one line, for logs, such as `["ada","k1"]`.
    public var description: String {
        var text: [UInt8] = []
        for component in components {
            text.append(UInt8(ascii: text.isEmpty ? "[" : ","))
            appendJSON(String(decoding: component, as: UTF8.self), to: &text)
        }
        return text.isEmpty ? "[]" : String(decoding: text, as: UTF8.self) + "]"
    }

    var isIncomplete: Bool { components.isEmpty || components.contains { $0.isEmpty } }

    func storeKey(in keyspace: Keyspace, _ operation: DedupOperation) -> StoreKey {
        let parts = [Array(operation.description.utf8)] + components
        return StoreKey(keyspace, bytes: [SHA256.digest(StoreKey(keyspace, bytes: parts).encoded)])
    }
}
