public import ReliabilityCore
internal import ReliabilityStore

/// A policy that runs a call if a limiter allows the call for a key.
///
/// ``Limiter/policy(for:cost:)`` returns such a policy.
public struct LimiterPolicy: CallPolicy {
    let limiter: Limiter
    let key: StoreKey
    let cost: Int

    /// A single layer with the limit.
    public var layers: [PolicyLayer] { [limiter.layer(key, cost: cost)] }

    /// Runs the operation if the limiter allows the call.
    ///
    /// - Parameter operation: The work, which keeps the isolation of the caller.
    /// - Returns: The operation's value.
    /// - Throws: ``LimiterError`` if the call is not allowed. `CancellationError` if the caller cancels the task before
    ///   the store has answered. Otherwise the error of the operation.
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await limiter.consume(key, cost: cost)
        return try await operation()
    }
}
