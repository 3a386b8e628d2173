public import ReliabilityCore

/// A policy, or none: what an `if` without `else` is in a ``Pipeline``.
public struct OptionalPolicy<Policy: CallPolicy>: CallPolicy {
    @usableFromInline let policy: Policy?

    /// Wraps a policy.
    ///
    /// - Parameter policy: The policy, or `nil` for none.
    @inlinable
    public init(_ policy: Policy?) { self.policy = policy }

    /// The policy's layers; empty without a policy.
    public var layers: [PolicyLayer] { policy?.layers ?? [] }

    /// Runs `operation` under the policy, or just runs it.
    ///
    /// - Parameter operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns.
    /// - Throws: What `operation` throws, or the error of the policy.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        if let policy { return try await policy.run(operation) }
        return try await operation()
    }
}

/// One of two policies: what an `if` with `else` is in a ``Pipeline``.
public enum EitherPolicy<First: CallPolicy, Second: CallPolicy>: CallPolicy {
    /// The policy of the first branch.
    case first(First)
    /// The policy of the other branch.
    case second(Second)

    /// The layers of the policy that was chosen.
    public var layers: [PolicyLayer] {
        switch self {
        case .first(let policy): policy.layers
        case .second(let policy): policy.layers
        }
    }

    /// Runs `operation` under the policy that was chosen.
    ///
    /// - Parameter operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns.
    /// - Throws: What `operation` throws, or the error of the policy.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        switch self {
        case .first(let policy): try await policy.run(operation)
        case .second(let policy): try await policy.run(operation)
        }
    }
}
