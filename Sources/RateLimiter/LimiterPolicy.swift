public import ReliabilityCore
internal import ReliabilityStore

/// Runs a call if a limiter allows it, on behalf of one key.
///
/// ``Limiter/policy(for:cost:)`` makes one.
public struct LimiterPolicy: CallPolicy {
    let limiter: Limiter
    let key: StoreKey
    let cost: Int

    /// One layer, with the limit's figures.
    public var layers: [PolicyLayer] { [limiter.layer(key, cost: cost)] }

    /// Runs `operation` if the limiter allows it.
    ///
    /// - Parameter operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns.
    /// - Throws: ``RateLimitError`` when the call is not allowed; `CancellationError` when the task is cancelled
    ///   before; otherwise what `operation` throws.
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await limiter.require(key, cost: cost)
        return try await operation()
    }
}
