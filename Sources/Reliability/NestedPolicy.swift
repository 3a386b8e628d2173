public import ReliabilityCore

/// A policy inside another policy.
public struct NestedPolicy<Outer: CallPolicy, Inner: CallPolicy>: CallPolicy {
    @usableFromInline let outer: Outer
    @usableFromInline let inner: Inner

    /// Creates a policy that runs `inner` inside `outer`.
    ///
    /// - Parameters:
    ///   - outer: The policy that runs first.
    ///   - inner: The policy that runs the operation.
    @inlinable
    public init(_ outer: Outer, _ inner: Inner) {
        self.outer = outer
        self.inner = inner
    }

    /// The layers of the outer policy, followed by the layers of the inner policy.
    public var layers: [PolicyLayer] { outer.layers + inner.layers }

    /// Runs the operation under both policies.
    ///
    /// - Parameter operation: The operation. It keeps the caller's isolation.
    /// - Returns: The operation's value.
    /// - Throws: The operation's error or the error of a policy.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await outer.run { try await inner.run(operation) }
    }
}
