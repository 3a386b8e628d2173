public import ReliabilityCore

/// Policies around a call, the outermost first.
///
/// ```swift
/// let payment = Pipeline {
///     TimeoutPolicy(.seconds(8))                  // for everything below
///     RetryPolicy(.idempotent)
///     breaker                                     // shared by all calls to the dependency
///     TimeoutPolicy(.seconds(2))                  // for each attempt
/// }
/// let receipt = try await payment.run { try await gateway.charge(order) }
/// ```
///
/// The recommended order, from the outside: total timeout, rate limit, retry, circuit breaker, attempt timeout. The
/// breaker then sees every attempt, time-outs included, and a wait between attempts holds nothing.
///
/// A pipeline is one static type: running it allocates nothing beyond what its policies need.
public struct Pipeline<Policies: CallPolicy>: CallPolicy {
    @usableFromInline let policies: Policies

    /// Composes policies, the outermost first.
    ///
    /// - Parameter policies: The policies.
    @inlinable
    public init(@PipelineBuilder _ policies: () -> Policies) {
        self.policies = policies()
    }

    /// Runs `operation` under all policies.
    ///
    /// - Parameter operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns.
    /// - Throws: What `operation` throws, or the error of a policy.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await policies.run(operation)
    }
}

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

/// Builds a ``Pipeline`` from a list of policies.
@resultBuilder
public enum PipelineBuilder {
    /// Begins with the outermost policy.
    @inlinable
    public static func buildPartialBlock<Policy: CallPolicy>(first: Policy) -> Policy { first }

    /// Puts the next policy inside those before it.
    @inlinable
    public static func buildPartialBlock<Outer: CallPolicy, Inner: CallPolicy>(
        accumulated: Outer,
        next: Inner
    ) -> NestedPolicy<Outer, Inner> {
        NestedPolicy(accumulated, next)
    }
}
