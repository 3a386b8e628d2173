/// Work with a limit of its own, for ``withConcurrentTimeouts(_:clock:)``.
public struct TimedOperation<Success: Sendable>: Sendable {
    let limit: Duration
    let operation: @Sendable () async throws -> Success

    /// Creates an operation with its limit.
    ///
    /// - Parameters:
    ///   - limit: How long the operation may take.
    ///   - operation: The work; it runs concurrently with others.
    public init(_ limit: Duration, operation: @escaping @Sendable () async throws -> Success) {
        self.limit = limit
        self.operation = operation
    }
}
