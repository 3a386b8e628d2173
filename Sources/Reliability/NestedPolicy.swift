public import ReliabilityCore

/// A policy inside another.
public struct NestedPolicy<Outer: CallPolicy, Inner: CallPolicy>: CallPolicy {
    @usableFromInline let outer: Outer
    @usableFromInline let inner: Inner

    /// Puts `inner` inside `outer`.
    ///
    /// - Parameters:
    ///   - outer: The policy that runs first.
    ///   - inner: The policy that it runs.
    @inlinable
    public init(_ outer: Outer, _ inner: Inner) {
        self.outer = outer
        self.inner = inner
    }

    /// The outer policy's layers, then the inner one's.
    public var layers: [PolicyLayer] { outer.layers + inner.layers }

    /// Runs `operation` under the inner policy, and that under the outer one.
    ///
    /// - Parameter operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns.
    /// - Throws: What `operation` throws, or the error of a policy.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await outer.run { try await inner.run(operation) }
    }
}
