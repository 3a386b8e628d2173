public import ReliabilityCore

/// The first or the second of two policies for an `if` with `else` in a ``Pipeline``.
public enum EitherPolicy<First: CallPolicy, Second: CallPolicy>: CallPolicy {
    /// The policy of the first branch.
    case first(First)
    /// The policy of the second branch.
    case second(Second)

    /// The layers of the chosen policy.
    public var layers: [PolicyLayer] {
        switch self {
        case .first(let policy): policy.layers
        case .second(let policy): policy.layers
        }
    }

    /// Runs the operation under the chosen policy.
    ///
    /// - Parameter operation: The operation. It keeps the caller's isolation.
    /// - Returns: The operation's value.
    /// - Throws: The operation's error or the error of the policy.
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
