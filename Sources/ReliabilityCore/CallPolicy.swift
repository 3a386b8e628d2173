/// A policy that runs an operation: with a time limit, more than once, or not at all.
///
/// Every policy of this library has this one shape, which is what a pipeline composes.
public protocol CallPolicy: Sendable {
    /// What the policy does to a call, the outermost layer first.
    ///
    /// A policy has one layer; a composition of policies has theirs. One that runs its operation more than once, or
    /// bounds its time, has to say so here.
    var layers: [PolicyLayer] { get }

    /// Runs `operation` under the policy.
    ///
    /// The operation keeps the caller's isolation, does not escape, and neither it nor its result has to be
    /// `Sendable`.
    ///
    /// - Parameter operation: The work.
    /// - Returns: What `operation` returns.
    /// - Throws: What `operation` throws, or the policy's own error.
    nonisolated(nonsending) func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success
}

extension CallPolicy {
    /// One layer that bears the type's name, runs what is inside once, and waits nobody knows how long.
    public var layers: [PolicyLayer] { [PolicyLayer(.other, "\(Self.self)", waits: nil)] }
}
