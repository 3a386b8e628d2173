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

    /// Makes the policies of an `if` without `else`.
    @inlinable
    public static func buildOptional<Policy: CallPolicy>(_ policy: Policy?) -> OptionalPolicy<Policy> {
        OptionalPolicy(policy)
    }

    /// Makes the policies of the first branch of an `if` with `else`, or of a `switch`.
    @inlinable
    public static func buildEither<First: CallPolicy, Second: CallPolicy>(
        first: First
    ) -> EitherPolicy<First, Second> {
        .first(first)
    }

    /// Makes the policies of the other branch.
    @inlinable
    public static func buildEither<First: CallPolicy, Second: CallPolicy>(
        second: Second
    ) -> EitherPolicy<First, Second> {
        .second(second)
    }

    /// Makes the policies of an `if #available`.
    @inlinable
    public static func buildLimitedAvailability<Policy: CallPolicy>(_ policy: Policy) -> Policy { policy }
}
