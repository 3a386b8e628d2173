public import ReliabilityStore

/// An operation and the key for which a caller requested the operation.
public struct DedupRequest: Hashable, Sendable, CustomStringConvertible {
    /// The name of the operation.
    public let operation: DedupOperation
    /// The key of the request.
    public let key: CompositeKey

    init(_ operation: DedupOperation, _ key: CompositeKey) {
        self.operation = operation
        self.key = key
    }

    /// The operation and the components of the key, for logs, such as `charge ["ada","k1"]`.
    public var description: String { "\(operation) \(key)" }
}
