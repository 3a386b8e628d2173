/// An operation and the key under which it was asked for.
public struct DedupRequest: Hashable, Sendable, CustomStringConvertible {
    /// The operation.
    public let operation: DedupOperation
    /// The key.
    public let key: DedupKey

    init(_ operation: DedupOperation, _ key: DedupKey) {
        self.operation = operation
        self.key = key
    }

    /// The operation and the key's components, for logs, such as `charge ["ada","k1"]`.
    public var description: String { "\(operation) \(key)" }
}
