public import ReliabilityCore

/// An optional policy for an `if` without `else` in a ``Pipeline``.
public struct OptionalPolicy<Policy: CallPolicy>: CallPolicy {
    @usableFromInline let policy: Policy?

    /// Wraps a policy.
    ///
    /// - Parameter policy: The policy, or `nil` to run operations without a policy.
    @inlinable
    public init(_ policy: Policy?) { self.policy = policy }

    /// The layers of the policy, or an empty array without a policy.
    public var layers: [PolicyLayer] { policy?.layers ?? [] }

    /// Runs the operation under the policy, or directly without a policy.
    ///
    /// - Parameter operation: The operation. It keeps the caller's isolation.
    /// - Returns: The operation's value.
    /// - Throws: The operation's error or the error of the policy.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        if let policy { return try await policy.run(operation) }
        return try await operation()
    }
}
