/// A call to a ``FaultInjectingStore``.
public struct StoreCall: Hashable, Sendable {
    /// The operation.
    public let operation: StoreOperation
    /// The number of the call among the calls of the same operation, starting at 1.
    public let ordinal: Int
    /// The number of the call among all calls, starting at 1.
    public let index: Int

    /// Creates a call, for example to test a function that chooses faults.
    public init(operation: StoreOperation, ordinal: Int, index: Int) {
        self.operation = operation
        self.ordinal = ordinal
        self.index = index
    }
}
