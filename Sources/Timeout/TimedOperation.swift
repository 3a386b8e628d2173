/// An operation with its own limit, for ``withConcurrentTimeouts(_:clock:)``.
public struct TimedOperation<Success: Sendable>: Sendable {
    let limit: Duration
    let operation: @Sendable () async throws -> Success

    /// Creates an operation with its limit.
    ///
    /// - Parameters:
    ///   - limit: The time limit of the operation.
    ///   - operation: The work. The operation runs concurrently with other operations.
    public init(_ limit: Duration, operation: @escaping @Sendable () async throws -> Success) {
        self.limit = limit
        self.operation = operation
    }
}
