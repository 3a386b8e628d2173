public import ReliabilityCore

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
