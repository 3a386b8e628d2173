public import ReliabilityCore

/// Builds a ``Pipeline`` from a list of policies.
@resultBuilder
public enum PipelineBuilder {
    /// Returns the outermost policy.
    @inlinable
    public static func buildPartialBlock<Policy: CallPolicy>(first: Policy) -> Policy { first }

    /// Returns the next policy inside the policies before it.
    @inlinable
    public static func buildPartialBlock<Outer: CallPolicy, Inner: CallPolicy>(
        accumulated: Outer,
        next: Inner
    ) -> NestedPolicy<Outer, Inner> {
        NestedPolicy(accumulated, next)
    }

    /// Returns the policies of an `if` without `else`.
    @inlinable
    public static func buildOptional<Policy: CallPolicy>(_ policy: Policy?) -> OptionalPolicy<Policy> {
        OptionalPolicy(policy)
    }

    /// Returns the policies of the first branch of an `if` with `else` or of a `switch`.
    @inlinable
    public static func buildEither<First: CallPolicy, Second: CallPolicy>(
        first: First
    ) -> EitherPolicy<First, Second> {
        .first(first)
    }

    /// Returns the policies of the second branch.
    @inlinable
    public static func buildEither<First: CallPolicy, Second: CallPolicy>(
        second: Second
    ) -> EitherPolicy<First, Second> {
        .second(second)
    }

    /// Returns the policies of an `if #available`.
    @inlinable
    public static func buildLimitedAvailability<Policy: CallPolicy>(_ policy: Policy) -> Policy { policy }
}
