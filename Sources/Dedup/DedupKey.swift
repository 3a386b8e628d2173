internal import ReliabilityStore

/// What makes two requests the same one: whose it is, and the name they gave it.
///
/// ```swift
/// DedupKey("charge", customerID, idempotencyKey)
/// ```
///
/// Name the owner first, or one customer's key meets another's. Components never run into each other, whatever bytes
/// they have, and any length fits: the store sees a digest, so no customer's data is in its keys. A key that is empty,
/// or has an empty component, is refused when it is used: requests that name nothing are not all the same request.
public struct DedupKey: Hashable, Sendable, ExpressibleByArrayLiteral {
    // Bytes: strings would compare by canonical equivalence.
    private let components: [[UInt8]]

    /// Creates a key from its components.
    ///
    /// - Parameter components: The owner first; each at least one byte.
    public init(_ components: String...) {
        self.components = components.map { Array($0.utf8) }
    }

    /// Creates a key from a literal of its components.
    public init(arrayLiteral elements: String...) {
        components = elements.map { Array($0.utf8) }
    }

    var isIncomplete: Bool { components.isEmpty || components.contains { $0.isEmpty } }

    func storeKey(in keyspace: Keyspace) -> StoreKey {
        StoreKey(keyspace, bytes: [SHA256.digest(StoreKey(keyspace, bytes: components).encoded)])
    }
}
